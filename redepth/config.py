"""Recipes: what a run does, as one validated, frozen value read from one YAML file.

A recipe has two halves. Everything under `Recipe.labels` decides what a label's bytes are; its
digest names an output, and another digest on the same output is refused. Everything under
`Recipe.run` decides only how the work is carried out, and may change between two runs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from redepth.coarse import coarse_models
from redepth.coarse.part import Coarse, CoarseModel
from redepth.errors import ConfigError
from redepth.refiners import refiners
from redepth.refiners.identity import Identity
from redepth.refiners.part import RefinerSettings
from redepth.registry import did_you_mean
from redepth.settings import Compute, ModelUse, Settings, UnitInterval

Rgb = tuple[
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
]
_MAX_CONFIG_BYTES = 2**20
DEPLOY = "deploy"  # the section of a recipe's file that is no part of the recipe
_Model = TypeVar("_Model", bound=BaseModel)


class Decoding(Settings):
    """How a file becomes an upright 8-bit sRGB picture."""

    background: Rgb = Field((255, 255, 255), description="colour under transparent pixels")
    max_megapixels: float = Field(100.0, gt=0, description="larger pictures are rejected unread")
    min_side_px: int = Field(16, ge=1, description="smaller pictures are rejected")
    max_bytes: int = Field(2**29, ge=1, description="largest file; larger ones are rejected")
    reduced_scale: bool = Field(
        True,
        description="decode a JPEG at 1/2, 1/4 or 1/8 of its size, where that leaves twice the "
        "pixels a side that the models see; false decodes every pixel",
    )


def _coarse_settings(value: Any, validate: ModelWrapValidatorHandler[Coarse]) -> Coarse:
    """Validate against the settings of the coarse model that is named."""
    preset = value.get("preset") if isinstance(value, Mapping) else None
    if isinstance(preset, str):
        return coarse_models[preset].settings.model_validate(value)
    return validate(value)


class _ByMethod:
    """Validate a refiner's settings by its `method`: redepth's own, or those of a plug-in."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        own: Any = Union[tuple(part.settings for part in refiners.own.values())]  # noqa: UP007
        schema = handler.generate_schema(Annotated[own, Field(discriminator="method")])
        return core_schema.no_info_wrap_validator_function(_refiner_settings, schema)


def _refiner_settings(value: Any, validate: ValidatorFunctionWrapHandler) -> RefinerSettings:
    if isinstance(value, RefinerSettings):
        return value
    method = value.get("method") if isinstance(value, Mapping) else None
    if isinstance(method, str) and method not in refiners.own:
        return refiners[method].settings.model_validate(value)
    settings: RefinerSettings = validate(value)
    return settings


class ConfidenceMapping(Settings):
    """A fitted confidence: the probability that a pixel's depth is within a factor of the truth.

    P = 1 / (1 + exp(-(intercept + sum_c weight_c ln(cue_c)))); `redepth lab` fits it on scenes,
    `redepth.labelling.confidence` says what the cues are.
    """

    within: float = Field(gt=1, description="the factor w of max(d/t, t/d) < w after alignment")
    intercept: float = Field(description="the logit where every cue is 1")
    spread: float = Field(0.0, description="weight of ln(spread / range of the map)")
    slope: float = Field(0.0, description="weight of ln(gradient a pixel / range of the map)")
    drift: float = Field(0.0, description="weight of ln(|refined - coarse| / range of coarse)")

    def weights(self) -> dict[str, float]:
        """Return the weight of each cue by its name."""
        return {"spread": self.spread, "slope": self.slope, "drift": self.drift}


class Ensemble(Settings):
    """How members become one map, and spread becomes confidence (docs/formulas.md)."""

    align_before_mean: bool = Field(
        False, description="the paper averages the members as they are; spread is always aligned"
    )
    reduction: Literal["mean", "median"] = Field(
        "mean", description="of the members, a pixel at a time"
    )
    confidence_tau: float = Field(
        0.05, gt=0, description="spread, as a share of the map's range, at which confidence is 1/e"
    )
    confidence_mapping: ConfidenceMapping | None = Field(
        None, description="a fitted probability in place of exp(-spread / (tau range))"
    )


class Guard(Settings):
    """When the coarse map is kept, because the refined one cannot be trusted."""

    min_rank_correlation: float = Field(
        0.5,
        ge=-1,
        le=1,
        description="Spearman correlation of refined and coarse below which order is lost",
    )
    min_relative_range: float = Field(
        1e-3, ge=0, description="range of refined over range of coarse below which it is constant"
    )


class Storage(Settings):
    """How arrays are written. float32 keeps normals smooth; float16 is a third of the size."""

    dtype: Literal["float16", "float32"] = Field(
        "float32", description="of coarse and refined; spread and confidence are float16"
    )
    compression_level: int = Field(
        2, ge=1, le=9, description="Blosc's, of zstd after a byte shuffle"
    )


class LabelSettings(Settings):
    """Everything that decides the bytes of a label."""

    seed: int = Field(0, ge=0, description="of all random numbers, together with the image's id")
    deduplicate: bool = Field(
        False,
        description="false: of files with the same bytes, each is refined with random numbers of "
        "its own id; true: they share one label, with random numbers of their sha256",
    )
    decoding: Decoding = Decoding()
    coarse: Annotated[Coarse, WrapValidator(_coarse_settings), SerializeAsAny()] = Coarse()
    refiner: Annotated[RefinerSettings, _ByMethod(), SerializeAsAny()] = Identity()
    ensemble: Ensemble = Ensemble()
    guard: Guard = Guard()
    compute: Compute = Compute()
    storage: Storage = Storage()

    @model_validator(mode="after")
    def _fitting(self) -> LabelSettings:
        coarse = self.coarse_model
        if self.coarse.far_limit_m is not None and not coarse.kind.is_metric:
            raise ValueError(
                f"coarse.far_limit_m is in metres, and coarse.preset {coarse.name!r} has none: "
                "leave it out, or take a metric preset"
            )
        if self.ensemble.align_before_mean and coarse.kind.is_metric:
            raise ValueError(
                f"ensemble.align_before_mean gives members another scale and shift, and those of "
                f"coarse.preset {coarse.name!r} are metres: leave it false"
            )
        refiner = refiners[self.refiner.method]
        refiner.check(self.refiner, coarse)
        if self.compute.batch_size > 1 and refiner.alone is not None:
            raise ValueError(
                f"compute.batch_size is {self.compute.batch_size}, and refiner.method "
                f"{refiner.name} {refiner.alone}: leave it at 1"
            )
        return self

    @property
    def coarse_model(self) -> CoarseModel:
        """The coarse model that is named."""
        return coarse_models[self.coarse.preset]

    def models(self) -> tuple[ModelUse, ...]:
        """Return every model that the recipe loads, the coarse one first."""
        refiner = refiners[self.refiner.method]
        return (self.coarse_model.use(self.coarse), *refiner.models(self.refiner))

    def plug_ins(self) -> tuple[str, ...]:
        """Name the packages other than redepth that bring parts of this recipe."""
        inner = refiners[self.refiner.method].inner(self.refiner)
        names = (
            coarse_models.package(self.coarse.preset),
            *(refiners.package(refiner.method) for refiner in (self.refiner, *inner)),
        )
        return tuple(sorted({name for name in names if name is not None}))

    def digest(self) -> str:
        """Return sha256 (hex) over the canonical JSON of every setting: the output's identity."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def _number_or_share(text: str | None) -> str | None:
    if text is not None and re.fullmatch(r"\d+|\d+(\.\d+)?%", text) is None:
        raise ValueError('expected a number of images, or a share such as "2%"')
    return text


class Actors(Settings):
    """The Ray actors that hold the models."""

    num_actors: int | None = Field(None, ge=1, description="null: as many as the resources allow")
    num_cpus: float = Field(1.0, ge=0, description="cores an actor reserves")
    num_gpus: float = Field(0.0, ge=0, description="GPUs an actor reserves; fractions share one")
    num_decoders: int = Field(
        0,
        ge=0,
        description="processes of one core each that read and decode for all actors, wherever Ray "
        "has cores; 0: each actor does so on its own cores",
    )
    image_timeout_s: float = Field(3600.0, gt=0, description="a call that takes longer is ended")
    max_crashes: int = Field(
        2, ge=1, description="process deaths after which an image is recorded as failed"
    )
    max_failures: Annotated[str | None, AfterValidator(_number_or_share)] = Field(
        None,
        description='failed images that end a run: a number, or a share such as "2%"',
    )
    start_timeout_s: float = Field(1800.0, gt=0, description="for loading the models")


class Sharding(Settings):
    """How work is cut into shards: a crash can cost one, and each quantity of one is one object."""

    images_per_shard: int = Field(32, ge=1, le=4096, description="committed together")
    max_task_runs: int = Field(100, ge=1, le=1000, description="Prefect task runs of one flow run")
    task_retries: int = Field(2, ge=0, description="of a shard's task, with back-off")


class Cost(Settings):
    """What `redepth plan` uses."""

    seconds_per_image: float | None = Field(
        None, gt=0, description="of one actor; state where the figure comes from"
    )
    device: str | None = Field(
        None,
        description="the card that it will run on, as CUDA names it, e.g. NVIDIA H200; null: "
        "this machine's",
    )
    price_per_actor_hour: float | None = Field(None, ge=0, description="in `currency`")
    currency: str = Field("USD", description="shown beside prices")


class LeaseSettings(Settings):
    """How one run at a time works on an output (docs/operations.md)."""

    when_taken: Literal["wait", "end"] = Field(
        "wait", description="what a run does if another one is at work on its output"
    )
    ttl_s: float = Field(
        60.0, ge=1, description="a lease expires if it was not renewed for this long"
    )
    max_wait_s: float = Field(86400.0, ge=0, description="a run ends after waiting this long")


class Sources(Settings):
    """What a list may name, since it can come from a stranger."""

    allow: tuple[str, ...] = Field(
        (),
        description="folders, prefixes (s3://bucket/photos), hosts (https://host) or whole schemes "
        "(https://) that a list may name beside its own folder, bucket or host",
    )


class RunSettings(Settings):
    """How the work is carried out; changes nothing in a label."""

    changed: Literal["relabel", "keep"] = Field(
        "relabel",
        description="if the size or version of a labelled photograph changed: label it again, "
        "unless the bytes are the same, or keep the label without reading the photograph",
    )
    alert_rejected_share: UnitInterval = Field(
        0.02, description="rejected and failed images, as a share, above which an event is emitted"
    )
    report_every_s: float = Field(
        180.0, ge=0, description="how often the report is written; 0: only at the end"
    )
    sources: Sources = Sources()
    lease: LeaseSettings = LeaseSettings()
    actors: Actors = Actors()
    sharding: Sharding = Sharding()
    cost: Cost = Cost()


class Deployment(Settings):
    """What `redepth deploy` registers: what to label, where labels go, who runs it and when."""

    photos: str | None = Field(None, description="folder, glob, prefix or list; as `redepth label`")
    out: str | None = Field(None, description="where labels go")
    ray_address: str | None = Field(None, description="a running Ray cluster; null: a private one")
    retry: tuple[Literal["failed", "rejected", "fell_back"], ...] = Field(
        (), description="outcomes that every run tries again"
    )
    pool: str | None = Field(None, description="Prefect work pool whose workers run it")
    image: str | None = Field(None, description="container image, for docker and kubernetes pools")
    cron: str | None = Field(None, description="when, as five cron fields; null: only on demand")
    every_s: float | None = Field(None, ge=1, description="run at this interval instead of `cron`")
    timezone: str = Field("UTC", description="of `cron`, by its IANA name")
    tags: tuple[str, ...] = Field((), description="to find it by in Prefect")
    retries: int = Field(1, ge=0, description="how often Prefect tries a failed run again")
    retry_delay_s: int = Field(300, ge=0, description="wait before each retry")

    @model_validator(mode="after")
    def _one_schedule(self) -> Deployment:
        if self.cron is not None and self.every_s is not None:
            raise ValueError("a deployment takes cron or every_s, not both")
        return self


class Recipe(Settings):
    """A whole recipe, as one YAML file states it."""

    name: str = Field(min_length=1, description="for people; recorded in the output")
    description: str = Field("", description="one line, shown by `redepth plan`")
    labels: LabelSettings = LabelSettings()
    run: RunSettings = RunSettings()

    @property
    def refines(self) -> bool:
        """Whether the refiner may change a map: one keeps the coarse map as it is."""
        return refiners[self.labels.refiner.method].refines

    @property
    def is_untrained(self) -> bool:
        """Whether any model of this recipe has weights made from a seed."""
        return any(model.own.seed is not None for model in self.labels.models())

    def licence_lines(self) -> list[str]:
        """Say, for each model with weights from somewhere, under which licence they come."""
        return [
            f"{model.name}: {model.terms.words}"
            for model in self.labels.models()
            if model.terms is not None
        ]


@dataclass(frozen=True, slots=True)
class ConfigKind:
    """A kind of YAML file: where redepth's own lie, and how messages speak of it.

    Attributes:
        what: "recipe", "training config".
        folder: of the shipped ones, relative to configs/.
        page: of the docs, that lists its settings.
        tags: names that unions put into the path of a setting; nobody typed them.
    """

    what: str
    folder: str
    page: str
    tags: frozenset[str]

    def shipped(self) -> dict[str, str]:
        """Return those that come with the package: name -> first comment line."""
        found = {}
        for entry in sorted(self._root().iterdir(), key=lambda e: e.name):
            if entry.name.endswith(".yaml"):
                first_line = entry.read_text(encoding="utf-8").split("\n", 1)[0]
                found[entry.name.removesuffix(".yaml")] = first_line.lstrip("# ").strip()
        return found

    def load(self, model: type[_Model], name_or_path: str, overrides: Sequence[str] = ()) -> _Model:
        """Read one by the name of a shipped one or by path, then apply `key.path=value` overrides.

        Raises:
            ConfigError: there is none, it is not YAML, or a setting does not validate; names the
                setting, what it got and what was expected.
        """
        return self.validated(model, self.values(name_or_path, overrides), name_or_path)

    def values(self, name_or_path: str, overrides: Sequence[str]) -> dict[str, Any]:
        """Read the values alone, overridden, and validate nothing."""
        values = self._parse(self._text(name_or_path), name_or_path)
        for override in overrides:
            _apply_override(values, override)
        return values

    def validated(
        self, model: type[_Model], values: Mapping[str, Any], name: str, prefix: str = ""
    ) -> _Model:
        """Return validated settings; raises ConfigError as `load`."""
        try:
            return model.model_validate(values)
        except ValidationError as error:
            words = self._explain(error, model, values, prefix)
            raise ConfigError(f"{self.what} {name} does not validate:\n{words}") from None

    def _root(self) -> Traversable:
        root: Traversable = resources.files("configs")
        return root / self.folder if self.folder else root

    def _text(self, name_or_path: str) -> str:
        names = ", ".join(self.shipped())
        if name_or_path.endswith((".yaml", ".yml")):
            path = Path(name_or_path)
            if not path.is_file():
                raise ConfigError(f"no {self.what} file {name_or_path}; shipped ones: {names}")
            return self._bounded_text(path)
        entry = self._root() / f"{name_or_path}.yaml"
        if not entry.is_file():
            near = did_you_mean(name_or_path, self.shipped())
            raise ConfigError(
                f"no {self.what} named {name_or_path!r}{near or ';'} give a path that ends in "
                f".yaml, or one of: {names}"
            )
        return entry.read_text(encoding="utf-8")

    def _bounded_text(self, path: Path) -> str:
        with path.open("rb") as file:
            content = file.read(_MAX_CONFIG_BYTES + 1)
        if len(content) > _MAX_CONFIG_BYTES:
            raise ConfigError(
                f"{self.what} {path} has more than {_MAX_CONFIG_BYTES:,} bytes: it is no "
                f"{self.what}"
            )
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise ConfigError(f"{self.what} {path} is not UTF-8 text: {error}") from None

    def _parse(self, text: str, name: str) -> dict[str, Any]:
        values = _load_yaml(text, f"{self.what} {name}")
        if not isinstance(values, dict):
            raise ConfigError(
                f"{self.what} {name} must be a mapping of settings, got {type(values).__name__}"
            )
        return values

    def _explain(
        self, error: ValidationError, model: type[_Model], values: Mapping[str, Any], prefix: str
    ) -> str:
        lines = []
        details = [(self._typed(detail["loc"]), detail) for detail in error.errors()]
        unknown = [path for path, detail in details if detail["type"] == "extra_forbidden"]
        known = _known_settings(model, values, [path for path, _ in details]) if unknown else []
        for path, detail in details:
            where = prefix + ".".join(path) or self.what
            if path in unknown:
                near = _nearest(path, known)
                lines.append(f"  {where}: there is no such setting ({self.page} lists them){near}")
            else:
                words = detail["msg"].removeprefix("Value error, ")
                lines.append(f"  {where}: {words} (got {detail['input']!r:.80})")
        return "\n".join(lines)

    def _typed(self, loc: Sequence[int | str]) -> tuple[str, ...]:
        """Return a setting's path as somebody would type it."""
        return tuple(str(part) for part in loc if part not in self.tags)


# A union of refiners puts the method's name into the path; the user never typed it.
RECIPES = ConfigKind("recipe", "", "docs/recipes.md", frozenset(refiners.own))


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by the name of a shipped one or by path, then apply `key.path=value` overrides.

    Args:
        name_or_path: "mini", or a path that ends in .yaml or .yml.
        overrides: e.g. "labels.refiner.num_steps=50"; values are YAML.

    Raises:
        ConfigError: no such recipe, not YAML, or a setting that does not validate; names the
            setting, what it got and what was expected.
    """
    values = RECIPES.values(name_or_path, overrides)
    values.pop(DEPLOY, None)
    return RECIPES.validated(Recipe, values, name_or_path)


def load_deployment(name_or_path: str, overrides: Sequence[str] = ()) -> Deployment:
    """Read the section `deploy` that a recipe's file may have beside the recipe.

    Args:
        name_or_path: as for `load_recipe`.
        overrides: e.g. "deploy.pool=gpu"; others are left to `load_recipe`.

    Raises:
        ConfigError: as `load_recipe`.
    """
    values = RECIPES.values(name_or_path, overrides).get(DEPLOY) or {}
    return RECIPES.validated(Deployment, values, name_or_path, f"{DEPLOY}.")


def shipped_recipes() -> dict[str, str]:
    """Return the recipes that come with the package: name -> first comment line."""
    return RECIPES.shipped()


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Name every setting in which two dumped recipes differ, as "path: old -> new"."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        path, before, after = f"{prefix}{key}", old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{path}.")
        elif before != after:
            found.append(f"{path}: {_in_short(before)} -> {_in_short(after)}")
    return found


def label_differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> list[str]:
    """Name what differs between two recipes' dumped `labels`, as `differences`.

    Of another refiner or coarse model its name alone: nothing of the one is a setting of the other.
    """
    for part, name in (("refiner", "method"), ("coarse", "preset")):
        before, after = old.get(part, {}), new.get(part, {})
        if before.get(name) != after.get(name):
            old = {**old, part: {name: before.get(name)}}
            new = {**new, part: {name: after.get(name)}}
    return differences(old, new, prefix)


def _in_short(value: Any) -> str:
    if value is None:
        return "not set"
    return "set" if isinstance(value, Mapping) else str(value)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dumped settings as "labels.seed" -> value; a group that is empty stays a value."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _known_settings(
    model: type[BaseModel], values: Mapping[str, Any], wrong: Sequence[tuple[str, ...]]
) -> list[str]:
    """Return the paths of every setting, of the refiner and coarse model that are named.

    Args:
        wrong: paths of what does not validate, to be left out. Where it still does not, no setting
            is known.
    """
    left = deepcopy(dict(values))
    for path in wrong:
        _remove(left, path)
    try:
        return list(flat(model.model_validate(left).model_dump(mode="json")))
    except (ValidationError, ConfigError):
        return []


def _remove(values: Any, path: Sequence[str]) -> None:
    *groups, leaf = path or ("",)
    for group in groups:
        values = values.get(group) if isinstance(values, dict) else None
    if isinstance(values, dict):
        values.pop(leaf, None)


def _nearest(path: Sequence[str], known: Sequence[str]) -> str:
    """Suggest the setting of this name elsewhere, or one of the same group with a name like it."""
    wrong, group = ".".join(path), path[:-1]
    elsewhere = [name for name in known if name.split(".")[-1] == path[-1]]
    beside = [name for name in known if name.split(".")[:-1] == list(group)]
    return did_you_mean(wrong, elsewhere or beside)


class _PlainLoader(yaml.SafeLoader):
    """Reads values that are written out: a few aliases of aliases stand for any number of them."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has an alias (*name): write the value out")
        return super().compose_node(parent, index)


def _load_yaml(text: str, what: str) -> Any:
    """Read a YAML text.

    Raises:
        ConfigError: it is none, has aliases, or is nested too deep to be read.
    """
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: 2026-13-45
        raise ConfigError(f"{what} is not YAML that can be read: {error}") from None


def _apply_override(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise ConfigError(f"--set takes key.path=value, got {override!r}")
    *parents, leaf = path.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {override}: {parent} is a value, not a group of settings")
    values[leaf] = _load_yaml(text, f"--set {override}")
