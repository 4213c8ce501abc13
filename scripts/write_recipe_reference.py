"""Write docs/recipes.md, the reference of every setting, from the models in redepth/config.py.

python scripts/write_recipe_reference.py docs/recipes.md
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from redepth.config import Deployment, Recipe, shipped_recipes
from redepth.refiners import refiners
from redepth.refiners.part import RefinerSettings
from redepth.settings import Settings, Weights

HEAD = """\
# Which settings does a recipe have?

<!-- Written by scripts/write_recipe_reference.py (make docs); do not edit. -->

A recipe is one YAML file with two parts. `labels` decides the bytes of a label. Its digest names an
output: if you change something in it, redepth refuses to write to that output and names the
difference. `run` decides only how the work is carried out, and may change from one run to the next.
If you leave a setting out, you get the default given here; an unknown setting is an error. Without
`labels.refiner`, the coarse map is kept as it is.

```bash
redepth label PHOTOS --out LABELS --recipe mini             # a recipe that comes with redepth
redepth label PHOTOS --out LABELS --recipe my-recipe.yaml   # a file of your own
redepth label PHOTOS --out LABELS --recipe mini --set labels.seed=1 --set run.actors.num_cpus=2
```

[Which recipe do I want?](models.md) helps you to choose. [Presets](presets.md) lists the models,
[weights](weights.md) says where they come from, and [formulas](formulas.md) what they compute.
"""

UNITS = {
    "background": "0-255",
    "max_megapixels": "Mpx",
    "confidence_tau": "share of range",
    "min_relative_range": "share of range",
    "min_timestep": "share of T",
    "max_timestep": "share of T",
    "num_cpus": "cores",
    "num_gpus": "GPUs",
    "members_per_batch": "members",
    "budget": "share of images",
    "images_per_shard": "images",
    "alert_rejected_share": "share",
    "seconds_per_image": "s",
    "price_per_actor_hour": "currency/h",
}
SUFFIXES = {"_px": "px", "_s": "s", "_m": "m"}
LIMITS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
TYPES = {int: "integer", float: "number", str: "text", bool: "true or false"}


def recipe_reference() -> str:
    """Return docs/recipes.md as Markdown."""
    weights = _section("weights", Weights, "`weights`, of every model")
    deploy = _section("deploy", Deployment, "`deploy`, beside the recipe in its file")
    return "\n".join([HEAD, _shipped(), *sections("", Recipe), weights, deploy])


def _shipped() -> str:
    rows = [(f"[`{name}`](../configs/{name}.yaml)", use) for name, use in shipped_recipes().items()]
    return f"## Recipes that come with redepth\n\n{table(('recipe', 'when'), rows)}"


def sections(path: str, model: type[BaseModel], whole: str | None = None) -> Iterator[str]:
    """Yield a group's section, then those of the groups in it, depth first.

    Args:
        whole: the title of the outermost group; None: the recipe.
    """
    yield _section(path, model, _title(path, model, whole))
    for name, field in model.model_fields.items():
        for group in _groups(field):
            if group is not Weights:
                yield from sections(f"{path}.{name}".lstrip("."), group, whole)


def _title(path: str, model: type[BaseModel], whole: str | None) -> str:
    if not path:
        return whole or "The recipe"
    tags = {name: field.default for name, field in model.model_fields.items() if _is_tag(field)}
    chosen = "".join(f" with `{name}: {value}`" for name, value in tags.items())
    return f"`{path}`{chosen}"


def _is_tag(field: FieldInfo) -> bool:
    """Say whether a setting has one value, which chooses this group among several."""
    return get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1


def _section(path: str, model: type[BaseModel], title: str) -> str:
    rows = [
        _row(name, field)
        for name, field in model.model_fields.items()
        if not _is_tag(field) and _groups(field) in ([], [Weights])
    ]
    head = ("setting", "default", "allowed", "unit", "meaning")
    cells = f"\n\n{table(head, rows)}" if rows else "\n"
    return f"## {title}\n\n{inspect.getdoc(model)}{cells}"


def _row(name: str, field: FieldInfo) -> tuple[str, ...]:
    if _groups(field):
        return f"`{name}`", "the preset's", "", "", "see [`weights`](#weights-of-every-model)"
    meaning = (field.description or "").replace("|", "\\|")
    allowed = "settings as of `labels.refiner`" if _is_inner(field) else _allowed(name, field)
    return f"`{name}`", _default(field), allowed, _unit(name), meaning


def _groups(field: FieldInfo) -> list[type[Settings]]:
    """Return the groups of settings a field can hold: none, one, or one of several methods."""
    if _is_inner(field):
        return []
    if field.annotation is RefinerSettings:
        return [part.settings for part in refiners.own.values()]
    options = (field.annotation, *get_args(field.annotation))
    return [o for o in options if isinstance(o, type) and issubclass(o, Settings)]


def _is_inner(field: FieldInfo) -> bool:
    """Say whether a setting holds a refiner inside a refiner: a recipe's own has a default."""
    return field.annotation is RefinerSettings and field.is_required()


def _default(field: FieldInfo) -> str:
    return "required" if field.is_required() else f"`{json.dumps(field.default)}`"


def _allowed(name: str, field: FieldInfo) -> str:
    annotation: Any = field.annotation
    limits = _limits(field.metadata)
    if name in ("preset", "captioner", "encoder"):
        return "a [preset](presets.md)" + (" or null" if field.default is None else "")
    choices = _choices(annotation)
    if choices:
        return ", ".join(f"`{value}`" for value in choices)
    if get_origin(annotation) is tuple and Ellipsis in get_args(annotation):
        (one, _) = get_args(annotation)
        return f"a list of {_allowed_one(one)}"
    if get_origin(annotation) is tuple:
        one = get_args(get_args(annotation)[0]) or get_args(annotation)
        return f"{len(get_args(annotation))} {TYPES[one[0]]}s{limits}"
    if NoneType in get_args(annotation):
        return f"{TYPES[get_args(annotation)[0]]}{limits}, or null"
    return f"{TYPES[annotation]}{limits}"


def _allowed_one(annotation: Any) -> str:
    return ", ".join(f"`{value}`" for value in _choices(annotation)) or TYPES[annotation]


def _choices(annotation: Any) -> tuple[str, ...]:
    """Return the values of a setting that has a few."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return tuple(annotation)
    return ()


def _limits(metadata: Sequence[Any]) -> str:
    found = [
        f" {sign} {getattr(limit, name):g}"
        for limit in metadata
        for name, sign in LIMITS.items()
        if hasattr(limit, name)
    ]
    return ",".join(found)


def _unit(name: str) -> str:
    if name in UNITS:
        return UNITS[name]
    if name.startswith("num_") or name in ("max_crashes", "max_task_runs", "task_retries"):
        return "count"
    return next((unit for suffix, unit in SUFFIXES.items() if name.endswith(suffix)), "")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> None:
    """Run the command line: one argument, the page to write."""
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/write_recipe_reference.py docs/recipes.md")
    Path(sys.argv[1]).write_text(recipe_reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
