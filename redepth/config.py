"""Recipes: what a run does, as one validated, frozen value read from one YAML file.

A recipe has two halves. Everything under `Recipe.labels` decides what a label's bytes are; its
digest names an output, and another digest on the same output is refused. Everything under
`Recipe.run` decides only how the work is carried out, and may change between two runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from redepth import presets
from redepth.errors import ConfigError
from redepth.types import DepthKind

Rgb = tuple[
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
]
Device = Literal["auto", "cpu", "cuda"]
_MAX_RECIPE_BYTES = 2**20
DEPLOY = "deploy"  # the section of a recipe's file that is no part of the recipe
_Model = TypeVar("_Model", bound=BaseModel)
UnitInterval = Annotated[float, Field(ge=0.0, le=1.0)]


def _require_known(setting: str, name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        raise ValueError(f"unknown {setting} {name!r}; known: {', '.join(known)}")


class Settings(BaseModel):
    """Frozen; an unknown key is an error, since a misspelt setting must not be a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Weights(Settings):
    """Where weights come from: a hub repository at a revision, a local folder, or a seed.

    Exactly one of `repo` (with `revision`), `folder` and `seed`; none of them means the preset's.
    """

    repo: str | None = Field(None, description="repository of the Hugging Face hub")
    revision: str | None = Field(None, description="its commit; needed with repo")
    folder: str | None = Field(None, description="folder as save_pretrained writes it")
    seed: int | None = Field(None, description="untrained weights; presets `mini` only")
    licence: str | None = Field(None, description="stated by whoever provides the weights")
    non_commercial: bool = Field(False, description="whether it forbids commercial use")
    variant: str | None = Field(None, description='file variant, e.g. "fp16"')

    @model_validator(mode="after")
    def _one_source(self) -> Weights:
        named = [n for n in ("repo", "folder", "seed") if getattr(self, n) is not None]
        if len(named) > 1:
            raise ValueError(f"weights take one of repo, folder or seed, not {' and '.join(named)}")
        if self.repo and not self.revision:
            raise ValueError(
                f"weights from {self.repo} need a revision (a commit of the repository)"
            )
        return self


class Decoding(Settings):
    """How a file becomes an upright 8-bit sRGB picture."""

    background: Rgb = Field((255, 255, 255), description="colour under transparent pixels")
    max_megapixels: float = Field(100.0, gt=0, description="larger pictures are rejected unread")
    min_side_px: int = Field(16, ge=1, description="smaller pictures are rejected")
    max_bytes: int = Field(
        2**29, ge=1, description="of a file; what is read of a larger one is thrown away"
    )


class Coarse(Settings):
    """The monocular network whose map is refined, and the size it works at."""

    preset: str = Field("depth-anything-v2-small", description="a coarse model by name")
    weights: Weights = Weights()
    size_px: int = Field(518, ge=28, description="upper bound of both sides, aspect kept")
    far_limit_m: float | None = Field(
        None,
        gt=0,
        description="metric models: what lies there or beyond has no value; null takes the "
        "model's own (docs/metric-depth.md)",
    )

    @property
    def is_metric(self) -> bool:
        """Whether the model speaks in metres."""
        return presets.COARSE[self.preset].kind.is_metric

    @model_validator(mode="after")
    def _known(self) -> Coarse:
        _require_known("coarse.preset", self.preset, presets.COARSE)
        if self.far_limit_m is not None and not self.is_metric:
            raise ValueError(
                f"coarse.far_limit_m is in metres, and coarse.preset {self.preset!r} has none: "
                "leave it out, or take a metric preset"
            )
        return self


class Prior(Settings):
    """The frozen diffusion model that judges the re-lit picture."""

    preset: str = Field("stable-diffusion-v1-5", description="a prior by name")
    weights: Weights = Weights()

    @model_validator(mode="after")
    def _known(self) -> Prior:
        _require_known("prior.preset", self.preset, presets.PRIORS)
        return self


class Caption(Settings):
    """The prior's prompt: the list's own caption, else the captioner's, else `prompt`."""

    captioner: str | None = Field(None, description="preset of an image-to-text model, or null")
    weights: Weights = Weights()
    prompt: str = Field("a photograph", description="used where neither list nor captioner speaks")

    @model_validator(mode="after")
    def _known(self) -> Caption:
        if self.captioner is not None:
            _require_known("caption.captioner", self.captioner, presets.CAPTIONERS)
        return self


class Identity(Settings):
    """Keep the coarse map: the baseline, and the smoke test of everything around a refiner."""

    method: Literal["identity"] = "identity"


class ReDepthAnything(Settings):
    """Test-time optimisation by re-lighting and score distillation; the paper's constants.

    Source: Re-Depth Anything, section "method"; formulas in redepth/refiners/redepth_anything.py.
    """

    method: Literal["redepth_anything"] = "redepth_anything"
    prior: Prior = Prior()
    caption: Caption = Caption()
    num_members: int = Field(10, ge=1, description="an ensemble of 1 has no confidence")
    num_steps: int = Field(1000, ge=0, description="0 leaves the prediction untouched")
    token_learning_rate: float = Field(1e-3, ge=0, description="of the four patch-token maps")
    decoder_learning_rate: float = Field(2e-6, ge=0, description="of the decoder's weights")
    scale_learning_rate: float = Field(1e-3, ge=0, description="of the scale offset o")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's, on all of them")
    betas: tuple[UnitInterval, UnitInterval] = Field((0.9, 0.999), description="AdamW's")
    render_scale: float | None = Field(None, description="s; null takes the coarse preset's")
    render_margin: float | None = Field(None, description="m; null takes the coarse preset's")
    light_extent: float = Field(1.0, gt=0, description="lx, ly ~ U(-extent, extent), lz = 1")
    shininess_exponents: tuple[int, int] = Field((2, 7), description="k in 2^k, inclusive range")
    gamma: float = Field(2.2, gt=0, description="linear light is rgb ** gamma")
    shading_floor: float = Field(1e-3, gt=0, description="darkest value of the re-lit picture")
    guidance_scale: float = Field(50.0, description="g in e_text + g (e_text - e_uncond)")
    min_timestep: UnitInterval = Field(0.02, description="share of the prior's timesteps")
    max_timestep: UnitInterval = Field(0.60, description="share of the prior's timesteps")
    weighting: Literal["uniform", "sds", "fantasia3d"] = Field(
        "uniform", description="w(t) of the gradient: 1, 1 - abar or sqrt(abar) (1 - abar)"
    )
    score_weight: float = Field(
        1.0, ge=0, description="of the prior's say; 0 leaves the smoothness alone (a control)"
    )
    smoothness_weight: float = Field(1.0, ge=0, description="of the mean absolute Laplacian")
    members_per_batch: int = Field(
        1, ge=1, description="members that share a step: 1 on a CPU, all of them on a GPU"
    )

    @model_validator(mode="after")
    def _ordered(self) -> ReDepthAnything:
        if self.min_timestep > self.max_timestep:
            raise ValueError("refiner.min_timestep is larger than refiner.max_timestep")
        if self.shininess_exponents[0] > self.shininess_exponents[1]:
            raise ValueError("refiner.shininess_exponents must be (smallest, largest)")
        return self


class RefinerModel(Settings):
    """A trained refiner's weights."""

    preset: str = Field("betterdepth", description="a trained refiner by name")
    weights: Weights = Weights()

    @model_validator(mode="after")
    def _known(self) -> RefinerModel:
        _require_known("refiner.model.preset", self.preset, presets.REFINERS)
        if self.weights.seed is not None:
            raise ValueError("refiner.model.weights.seed: an untrained refiner is not offered")
        return self


class BetterDepth(Settings):
    """A trained, plug-and-play diffusion refiner; the paper's settings.

    Source: BetterDepth; what they do to faithfulness and detail: docs/betterdepth.md.
    """

    method: Literal["betterdepth"] = "betterdepth"
    model: RefinerModel = RefinerModel()
    num_steps: int = Field(50, ge=1, le=1000, description="of DDIM; 2 keeps nearly all of the gain")
    num_members: int = Field(10, ge=1, description="an ensemble of 1 has no confidence")
    members_per_batch: int = Field(
        1, ge=1, description="members that share a batch: 1 on a CPU, all of them on a GPU"
    )


class SharpDepth(Settings):
    """Sharpen a metric map with a one-step diffusion model and bring it back to metres.

    Source: SharpDepth; what was released differs from the paper where a setting says so.
    """

    method: Literal["sharpdepth"] = "sharpdepth"
    model: RefinerModel = RefinerModel(preset="lotus-g")
    num_members: int = Field(4, ge=1, description="an ensemble of 1 has no confidence")
    members_per_batch: int = Field(
        1, ge=1, description="members that share a batch: 1 on a CPU, all of them on a GPU"
    )
    gate_normaliser: Literal["quantile", "max"] = Field(
        "quantile", description="difference that shuts the gate; max is the released rule"
    )
    gate_quantile: float = Field(0.98, gt=0, le=1, description="of the differences, for quantile")
    gated_noise: Literal["pure", "latent"] = Field(
        "pure", description="pure as published, or the noised sharp latent as released"
    )
    agreement: float = Field(
        0.5, gt=0, le=1, description="of the gate, below which a pixel carries scale and shift"
    )
    min_agreeing_share: UnitInterval = Field(
        0.1, description="of pixels that agree, below which the metric map is kept"
    )


Refiner = Annotated[
    Identity | ReDepthAnything | BetterDepth | SharpDepth, Field(discriminator="method")
]


class ConfidenceMapping(Settings):
    """A fitted confidence: the probability that a pixel's depth is within a factor of the truth.

    P = 1 / (1 + exp(-(intercept + sum_c weight_c ln(cue_c)))); `redepth lab` fits it on scenes,
    `redepth.confidence` says what the cues are.
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
    """How members become one map, and spread becomes confidence (docs/conventions.md)."""

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
    """When a refined map is not to be trusted and the coarse one is kept."""

    min_rank_correlation: float = Field(
        0.5,
        ge=-1,
        le=1,
        description="Spearman correlation of refined and coarse below which order is lost",
    )
    min_relative_range: float = Field(
        1e-3, ge=0, description="range of refined over range of coarse below which it is constant"
    )


class Compute(Settings):
    """What of the machine shows in the bytes: hence part of the recipe."""

    device: Device = Field("auto", description="auto is a GPU where the actor sees one")
    dtype: Literal["float32", "float16", "bfloat16"] = Field(
        "float32", description="of prior and captioner; the rest is float32"
    )
    num_threads: int = Field(1, ge=1, description="torch threads of one actor on a CPU")


class Storage(Settings):
    """How arrays are written. float32 keeps normals smooth; float16 is a third of the size."""

    dtype: Literal["float16", "float32"] = Field(
        "float32", description="of coarse and refined; spread and confidence are float16"
    )
    compression_level: int = Field(
        2, ge=1, le=9, description="Blosc's, of zstd after a byte shuffle"
    )


class LabelSettings(Settings):
    """All that decides what a label's bytes are."""

    seed: int = Field(0, ge=0, description="of every random draw, with the image's id")
    same_bytes: Literal["each", "once"] = Field(
        "each",
        description="files with the same bytes: each refined with draws of its own id, or once, "
        "with draws of their sha256",
    )
    decoding: Decoding = Decoding()
    coarse: Coarse = Coarse()
    refiner: Refiner = Identity()
    ensemble: Ensemble = Ensemble()
    guard: Guard = Guard()
    compute: Compute = Compute()
    storage: Storage = Storage()

    @model_validator(mode="after")
    def _fitting(self) -> LabelSettings:
        architecture = presets.COARSE[self.coarse.preset].architecture
        tokens = architecture is presets.Architecture.DEPTH_ANYTHING
        if isinstance(self.refiner, ReDepthAnything) and not tokens:
            raise ValueError(
                f"refiner.method redepth_anything moves the tokens of a Depth Anything for "
                f"relative depth, and coarse.preset {self.coarse.preset!r} is none: take "
                "betterdepth or identity"
            )
        if self.ensemble.align_before_mean and self.coarse.is_metric:
            raise ValueError(
                f"ensemble.align_before_mean gives members another scale and shift, and those of "
                f"coarse.preset {self.coarse.preset!r} are metres: leave it false"
            )
        metric = presets.COARSE[self.coarse.preset].kind is DepthKind.METRIC_DEPTH
        if isinstance(self.refiner, SharpDepth) and not metric:
            raise ValueError(
                f"refiner.method sharpdepth sharpens depth in metres, and coarse.preset "
                f"{self.coarse.preset!r} gives none: take a metric one (docs/metric-depth.md)"
            )
        return self

    def digest(self) -> str:
        """Return sha256 (hex) over the canonical JSON of every setting: the output's identity."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


class Actors(Settings):
    """The Ray actors that hold the models."""

    num_actors: int | None = Field(None, ge=1, description="null: as many as the resources allow")
    num_cpus: float = Field(1.0, ge=0, description="cores an actor reserves")
    num_gpus: float = Field(0.0, ge=0, description="GPUs an actor reserves; fractions share one")
    image_timeout_s: float = Field(3600.0, gt=0, description="a call that takes longer is ended")
    max_crashes: int = Field(
        2, ge=1, description="process deaths after which an image is recorded as failed"
    )
    max_failures: str | None = Field(
        None,
        pattern=r"^(\d+|\d+(\.\d+)?%)$",
        description='failed images that end a run: a number, or a share such as "2%"',
    )
    start_timeout_s: float = Field(1800.0, gt=0, description="for loading the models")


class Sharding(Settings):
    """How work is cut. A shard is what a crash can cost, and one object a quantity in the store."""

    images_per_shard: int = Field(32, ge=1, le=4096, description="committed together")
    max_task_runs: int = Field(100, ge=1, le=1000, description="Prefect task runs of one flow run")
    task_retries: int = Field(2, ge=0, description="of a shard's task, with back-off")


class Cost(Settings):
    """What `redepth plan` reckons with."""

    seconds_per_image: float | None = Field(None, gt=0, description="of one actor; say its source")
    price_per_actor_hour: float | None = Field(None, ge=0, description="in `currency`")
    currency: str = Field("USD", description="only for show")


class LeaseSettings(Settings):
    """What keeps two runs from working on one output at once (docs/operations.md)."""

    when_taken: Literal["wait", "end"] = Field(
        "wait", description="what a run does that finds another one at work on its output"
    )
    ttl_s: float = Field(
        60.0, ge=1, description="a lease that was not renewed for so long is of a dead run"
    )
    max_wait_s: float = Field(86400.0, ge=0, description="a run that waited so long ends, too")


class Sources(Settings):
    """What names from outside may stand for: a list may come from a stranger."""

    allow: tuple[str, ...] = Field(
        (),
        description="folders, prefixes (s3://bucket/photos), hosts (https://host) or whole schemes "
        "(https://) that a list may name beside its own folder, bucket or host",
    )


class RunSettings(Settings):
    """How the work is carried out; changes nothing in a label."""

    changed: Literal["relabel", "keep"] = Field(
        "relabel",
        description="what becomes of a label whose photograph has another size or version by now",
    )
    alert_rejected_share: UnitInterval = Field(
        0.02, description="rejected and failed images, as a share, above which an event is emitted"
    )
    sources: Sources = Sources()
    lease: LeaseSettings = LeaseSettings()
    actors: Actors = Actors()
    sharding: Sharding = Sharding()
    cost: Cost = Cost()


class Deployment(Settings):
    """What `redepth deploy` registers: what is labelled, where to, by whom and when."""

    photos: str | None = Field(None, description="folder, glob, prefix or list; as `redepth label`")
    out: str | None = Field(None, description="where labels go")
    ray_address: str | None = Field(None, description="a running Ray cluster; null: a private one")
    retry: tuple[Literal["failed", "rejected", "fell_back"], ...] = Field(
        (), description="outcomes that every run tries again"
    )
    pool: str | None = Field(None, description="Prefect work pool whose workers run it")
    image: str | None = Field(None, description="container image, for docker and kubernetes pools")
    cron: str | None = Field(None, description="when, as five cron fields; null: only on demand")
    every_s: float | None = Field(None, ge=1, description="or at this interval")
    timezone: str = Field("UTC", description="of `cron`, by its IANA name")
    tags: tuple[str, ...] = Field((), description="for finding it in Prefect")
    retries: int = Field(1, ge=0, description="of a run that failed, by Prefect")
    retry_delay_s: int = Field(300, ge=0, description="before each of them")

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
    def is_untrained(self) -> bool:
        """Whether any model of this recipe has weights made from a seed."""
        return any(own.seed is not None for _, own, _ in self.models())

    def licence_lines(self) -> list[str]:
        """Say, for each model with weights from somewhere, under which licence they come."""
        lines = []
        for name, own, preset in self.models():
            if own.repo is not None or own.folder is not None:
                licence, restricted = own.licence or "not stated", own.non_commercial
            elif own.seed is None and preset is not None:
                licence, restricted = preset.licence, preset.non_commercial
            else:
                continue
            lines.append(f"{name}: {licence}" + (" (non-commercial)" if restricted else ""))
        return lines

    def models(self) -> list[tuple[str, Weights, presets.PresetWeights | None]]:
        """Return name, own weights and the preset's weights of every model the recipe loads."""
        coarse = self.labels.coarse
        models: list[tuple[str, Weights, presets.PresetWeights | None]]
        models = [(coarse.preset, coarse.weights, presets.COARSE[coarse.preset].weights)]
        refiner = self.labels.refiner
        if isinstance(refiner, ReDepthAnything):
            prior, caption = refiner.prior, refiner.caption
            models.append((prior.preset, prior.weights, presets.PRIORS[prior.preset].weights))
            if caption.captioner is not None:
                hub = presets.CAPTIONERS[caption.captioner].weights
                models.append((caption.captioner, caption.weights, hub))
        elif isinstance(refiner, BetterDepth):
            model = refiner.model
            models.append((model.preset, model.weights, presets.REFINERS[model.preset].weights))
        return models


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by the name of a shipped one or by path, then apply `key.path=value` overrides.

    Args:
        name_or_path: "mini", or a path that ends in .yaml or .yml.
        overrides: e.g. "labels.refiner.num_steps=50"; values are YAML.

    Raises:
        ConfigError: no such recipe, not YAML, or a setting that does not validate; names the
            setting, what it got and what was expected.
    """
    values = _read_values(name_or_path, overrides)
    values.pop(DEPLOY, None)
    return _validated(Recipe, values, name_or_path)


def load_deployment(name_or_path: str, overrides: Sequence[str] = ()) -> Deployment:
    """Read the section `deploy` that a recipe's file may have beside the recipe.

    Args:
        name_or_path: as for `load_recipe`.
        overrides: e.g. "deploy.pool=gpu"; others are left to `load_recipe`.

    Raises:
        ConfigError: as `load_recipe`.
    """
    values = _read_values(name_or_path, overrides).get(DEPLOY) or {}
    return _validated(Deployment, values, name_or_path, f"{DEPLOY}.")


def _read_values(name_or_path: str, overrides: Sequence[str]) -> dict[str, Any]:
    values = _parse_yaml(_recipe_text(name_or_path), name_or_path)
    for override in overrides:
        _apply_override(values, override)
    return values


def _validated(
    model: type[_Model], values: Mapping[str, Any], name: str, prefix: str = ""
) -> _Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        words = _explain(error, prefix)
        raise ConfigError(f"recipe {name} does not validate:\n{words}") from None


def shipped_recipes() -> dict[str, str]:
    """Return the recipes that come with the package: name -> first comment line."""
    found = {}
    for entry in sorted(resources.files("configs").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".yaml"):
            first_line = entry.read_text(encoding="utf-8").split("\n", 1)[0]
            found[entry.name.removesuffix(".yaml")] = first_line.lstrip("# ").strip()
    return found


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Name every setting in which two dumped recipes differ, as "path: old -> new"."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        path, before, after = f"{prefix}{key}", old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{path}.")
        elif before != after:
            found.append(f"{path}: {before} -> {after}")
    return found


def _recipe_text(name_or_path: str) -> str:
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if not path.is_file():
            raise ConfigError(f"no recipe file {name_or_path}; shipped ones: {_shipped_names()}")
        return _bounded_text(path)
    entry = resources.files("configs") / f"{name_or_path}.yaml"
    if not entry.is_file():
        raise ConfigError(
            f"no recipe named {name_or_path!r}; give a path that ends in .yaml, or one of: "
            f"{_shipped_names()}"
        )
    return entry.read_text(encoding="utf-8")


def _shipped_names() -> str:
    return ", ".join(shipped_recipes())


def _bounded_text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_MAX_RECIPE_BYTES + 1)
    if len(content) > _MAX_RECIPE_BYTES:
        raise ConfigError(
            f"recipe {path} has more than {_MAX_RECIPE_BYTES:,} bytes: it is no recipe"
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"recipe {path} is not UTF-8 text: {error}") from None


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
        return yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: 2026-13-45
        raise ConfigError(f"{what} is not YAML that can be read: {error}") from None


def _parse_yaml(text: str, name: str) -> dict[str, Any]:
    values = _load_yaml(text, f"recipe {name}")
    if not isinstance(values, dict):
        raise ConfigError(
            f"recipe {name} must be a mapping of settings, got {type(values).__name__}"
        )
    return values


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


def _explain(error: ValidationError, prefix: str) -> str:
    lines = []
    for detail in error.errors():
        # A union of refiners puts the method's name into the path; the user never typed it.
        parts = [
            str(p)
            for p in detail["loc"]
            if p not in ("identity", "redepth_anything", "betterdepth", "sharpdepth")
        ]
        where = prefix + ".".join(parts) or "recipe"
        if detail["type"] == "extra_forbidden":
            lines.append(f"  {where}: there is no such setting (docs/recipes.md lists them)")
        else:
            lines.append(f"  {where}: {detail['msg']} (got {detail['input']!r:.80})")
    return "\n".join(lines)
