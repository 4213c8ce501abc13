"""dataset.json: which recipe and which models an output is of, written once and then held to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from redepth.confidence.words import Meaning, meanings_of
from redepth.config import Decoding, Ensemble, Guard, Recipe, Storage, label_differences
from redepth.errors import ConfigError, IntegrityError
from redepth.settings import Compute
from redepth.store.layout import DATASET, FORMAT_VERSION
from redepth.store.missing_labels import words_for_missing
from redepth.store.objects import Objects, open_objects
from redepth.types import ModelCard

_SOFTWARE = (
    "redepth", "diffusers", "numpy", "pillow", "pyarrow", "safetensors", "torch", "transformers",
    "zarr",
)  # fmt: skip


# What is written has some kilobytes; an output may come from a stranger.
MAX_BYTES = 4 << 20
_MOST_MODELS = 64
MOST_DIFFERENCES = 8


class _Versioned(BaseModel):
    format_version: int


class Recorded(BaseModel):
    """The settings an output was made with (`LabelSettings`), as readers use them.

    Those of its coarse model and its refiner stay plain values: a package that brought such a part
    need not be installed where its labels are read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    deduplicate: bool
    decoding: Decoding
    coarse: dict[str, Any]
    refiner: dict[str, Any]
    probes: dict[str, Any] = Field(default_factory=dict)
    ensemble: Ensemble
    guard: Guard
    compute: Compute
    storage: Storage

    @property
    def confidence_within(self) -> float | None:
        """The factor w if confidence is a fitted P(max(d/t, t/d) < w); None if it is agreement."""
        mapping = self.ensemble.confidence_mapping
        return None if mapping is None else mapping.within

    @property
    def meanings(self) -> Mapping[str, Meaning]:
        """What the confidence and the bounds mean, by the name of the quantity."""
        return meanings_of(self.ensemble.confidence_mapping, self.ensemble.intervals)

    @property
    def promised_coverage(self) -> float | None:
        """The share of the pixels that lie between lower and upper; None without intervals."""
        return None if self.ensemble.intervals is None else self.ensemble.intervals.coverage


class _Stored(BaseModel):
    """dataset.json as it is written: whatever it holds is shown to people, in logs and on pages."""

    model_config = ConfigDict(strict=True)

    recipe_name: str = Field(min_length=1, max_length=1000)
    recipe_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    recipe: dict[str, Any]
    models: tuple[ModelCard, ...] = Field(max_length=_MOST_MODELS)
    software: dict[str, str]
    created: str = Field(max_length=100)


@dataclass(frozen=True, slots=True)
class Dataset:
    """What an output says about itself.

    Attributes:
        recipe: `Recipe.labels`, dumped: every setting that decides a label's bytes.
        recorded: those of them that readers use.
        models: what was loaded to make the labels.
        software: package -> version of the run that began the output.
        created: UTC, ISO 8601.
    """

    recipe_name: str
    recipe_digest: str
    recipe: Mapping[str, Any]
    recorded: Recorded
    models: tuple[ModelCard, ...]
    software: Mapping[str, str]
    created: str

    @property
    def untrained(self) -> bool:
        """Whether a model had weights made from a seed, so that the labels are meaningless."""
        return any(model.untrained for model in self.models)


def begin(out: str, recipe: Recipe, models: Sequence[ModelCard]) -> None:
    """Write dataset.json where there is none; else hold recipe and models to what it records.

    Raises:
        ConfigError: the output is of another recipe; names the settings.
        IntegrityError: a model's weights are not those the output was begun with.
    """
    objects = open_objects(out)
    recorded = _read(objects)
    if recorded is None:
        objects.put(DATASET, _encode(recipe, models))
        return
    _require_recipe(out, recorded, recipe)
    _require_models(out, recorded, models)


def check_recipe(out: str, recipe: Recipe) -> None:
    """Refuse work on an output that another recipe began; an output not begun yet takes any.

    Raises:
        ConfigError: names every setting that differs.
    """
    recorded = _read(open_objects(out))
    if recorded is not None:
        _require_recipe(out, recorded, recipe)


def read_dataset(out: str) -> Dataset:
    """Read dataset.json.

    Raises:
        ConfigError: there are no labels at `out`, they cannot be read through a URL of this kind,
            or a newer redepth wrote them; says what is there instead.
        IntegrityError: dataset.json is not readable.
    """
    objects = open_objects(out)
    is_file = objects.is_local and Path(objects.path).is_file()
    recorded = None if is_file else _read(objects)
    if recorded is None:
        raise ConfigError(words_for_missing(objects))
    return recorded


def _encode(recipe: Recipe, models: Sequence[ModelCard]) -> bytes:
    content = {
        "format_version": FORMAT_VERSION,
        "recipe_name": recipe.name,
        "recipe_digest": recipe.labels.digest(),
        "recipe": recipe.labels.model_dump(mode="json"),
        "models": [asdict(model) for model in models],
        "software": {
            package: _version(package) for package in (*_SOFTWARE, *recipe.labels.plug_ins())
        },
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return (json.dumps(content, indent=2) + "\n").encode()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _read(objects: Objects) -> Dataset | None:
    try:
        content = objects.read(DATASET, MAX_BYTES)
    except FileNotFoundError:
        return None
    try:
        return _decode(content, objects.url)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step)[:40] for step in first["loc"]) or "all of it"
        raise IntegrityError(
            f"{objects.url}/{DATASET} is not readable ({place}: {first['msg'][:200]}); restore it, "
            "or use another --out"
        ) from error


def _decode(content: bytes, url: str) -> Dataset:
    version = _Versioned.model_validate_json(content).format_version
    if version != FORMAT_VERSION:
        raise ConfigError(
            f"{url} has format version {version}, this redepth reads {FORMAT_VERSION}; "
            "use the redepth that wrote it"
        )
    said = _Stored.model_validate_json(content)
    return Dataset(
        said.recipe_name,
        said.recipe_digest,
        said.recipe,
        Recorded.model_validate(said.recipe),
        said.models,
        said.software,
        said.created,
    )


def _require_recipe(out: str, recorded: Dataset, recipe: Recipe) -> None:
    if recorded.recipe_digest == recipe.labels.digest():
        return
    changed = _shown_differences(recorded.recipe, recipe.labels.model_dump(mode="json"))
    raise ConfigError(
        f"{out} was begun with other settings (recipe {recorded.recipe_name!r}; this is "
        f"{recipe.name!r}):\n"
        + "\n".join(f"  {line}" for line in changed)
        + "\nuse another --out, or the same recipe"
    )


def _shown_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Name what differs, not more than can be read at once."""
    changed = label_differences(old, new, "labels.")
    more = len(changed) - MOST_DIFFERENCES
    return changed if more <= 0 else [*changed[:MOST_DIFFERENCES], f"... and {more} more"]


def _require_models(out: str, recorded: Dataset, models: Sequence[ModelCard]) -> None:
    """Compare models with those of before, role by role; a recipe may have several of a role."""
    for role in dict.fromkeys(model.role for model in models):
        before = [model for model in recorded.models if model.role == role]
        now = [model for model in models if model.role == role]
        for model, expected in zip(now, before, strict=False):
            if expected.sha256 != model.sha256:
                raise IntegrityError(
                    f"{out}: the {role} model {model.name} has weights {model.sha256[:12]}..., the "
                    f"labels there were made with {expected.name} {expected.sha256[:12]}...; load "
                    f"{expected.source} at {expected.revision}, or use another --out"
                )
