"""Recipes as text: one in full, saying where each value comes from; a new one from four answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import yaml

from redepth.config import RECIPES, Recipe, flat, load_recipe

DEFAULT = "default"
OVERRIDDEN = "--set"


class Quality(StrEnum):
    """How much an image may cost."""

    FAST = "fast"
    GOOD = "good"
    BEST = "best"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a new recipe is asked for.

    Attributes:
        metric: depth in metres, else relative depth.
        gpu: whether the runs have one.
        quality: more of it costs more time.
        commercial: whether every model must allow commercial use.
    """

    metric: bool
    gpu: bool
    quality: Quality
    commercial: bool


# What refines, by (metric, quality), on a GPU; without one an image would take hours, and the
# coarse model is left alone.
_ON_GPU = {
    (True, Quality.FAST): "metric",
    (True, Quality.GOOD): "sharpdepth",
    (True, Quality.BEST): "sharpdepth",
    (False, Quality.FAST): "coarse",
    (False, Quality.GOOD): "redepth-anything-fast",
    (False, Quality.BEST): "redepth-anything",
}
_LARGEST = {
    True: "depth-anything-v2-metric-indoor-large",
    False: "depth-anything-v2-large",
}  # of those that forbid commercial use


def recipe_text(name_or_path: str, overrides: Sequence[str] = ()) -> str:
    """Return a whole recipe as YAML: every setting, and behind it where its value comes from.

    What it prints is a recipe of its own, with the same labels.

    Raises:
        ConfigError: as `load_recipe`.
    """
    recipe = load_recipe(name_or_path, overrides)
    given = flat(RECIPES.values(name_or_path, ()))
    origins = dict.fromkeys(given, name_or_path)
    origins |= {override.partition("=")[0]: OVERRIDDEN for override in overrides}
    head = [f"# {line}" for line in (RECIPES.shipped().get(name_or_path, ""),) if line]
    return "\n".join([*head, *_lines(recipe.model_dump(mode="json"), origins)]) + "\n"


def _lines(values: Mapping[str, Any], origins: Mapping[str, str], path: str = "") -> list[str]:
    indent = "  " * path.count(".")
    lines = []
    for key, value in values.items():
        own = f"{path}{key}"
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_lines(value, origins, f"{own}.")]
        else:
            lines.append(f"{indent}{key}: {_inline(value)}  # {_origin(own, origins)}")
    return lines


def _inline(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=1_000_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _origin(path: str, origins: Mapping[str, str]) -> str:
    """Return who set a value: itself, or the group that it lies in."""
    parts = path.split(".")
    above = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((origins[name] for name in above if name in origins), DEFAULT)


def new_recipe(wishes: Wishes, name: str) -> str:
    """Return a recipe for what is wished, as YAML with what it rests on in its first lines."""
    base, overrides = choose(wishes)
    values = {**RECIPES.values(base, overrides), "name": name}
    if overrides:  # what the shipped one says of itself is of other models
        values["description"] = f"{_summary(wishes)[:-1]}, after {base}"
        values.get("run", {}).pop("cost", None)
    head = [
        f"# {_summary(wishes)}",
        "#",
        f"# The shipped recipe {base}{', with ' + ', '.join(overrides) if overrides else ''}.",
        "# docs/recipes.md lists every setting.",
    ]
    body: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return "\n".join([*head, body])


def choose(wishes: Wishes) -> tuple[str, tuple[str, ...]]:
    """Return the shipped recipe that fits, and what to change of it."""
    if not wishes.gpu:
        base = "metric" if wishes.metric else "coarse"
        changes = ["labels.compute.device=cpu"]
    else:
        base = _ON_GPU[wishes.metric, wishes.quality]
        changes = (
            [] if _takes_gpu(base) else ["labels.compute.device=cuda", "run.actors.num_gpus=1"]
        )
    if base == _ON_GPU[True, Quality.GOOD] and wishes.quality is Quality.BEST:
        changes.append("labels.refiner.num_members=8")  # one recipe serves both: twice the members
    if wishes.quality is Quality.BEST and not wishes.commercial:
        changes.append(f"labels.coarse.preset={_LARGEST[wishes.metric]}")
    return base, tuple(changes)


def _takes_gpu(name: str) -> bool:
    return load_recipe(name).run.actors.num_gpus > 0


def _summary(wishes: Wishes) -> str:
    words = [
        "depth in metres" if wishes.metric else "relative depth",
        "on a GPU" if wishes.gpu else "on a CPU",
        f"quality {wishes.quality}",
        "commercial use allowed" if wishes.commercial else "models for research too",
    ]
    summary = ", ".join(words)
    return f"{summary[0].upper()}{summary[1:]}."


def remarks(wishes: Wishes, recipe: Recipe) -> list[str]:
    """Say what the answers could not have, and under which licences the models come."""
    said = []
    if not wishes.gpu and wishes.quality is not Quality.FAST:
        said.append(
            "refining takes a GPU: without one an image takes hours, so this recipe keeps the "
            "coarse map"
        )
    if wishes.metric:
        said.append(
            "its metric model is of rooms, and ends at 19.6 m; docs/metric-depth.md has those for "
            "streets"
        )
    return [*said, *(f"licence: {line}" for line in recipe.licence_lines())]
