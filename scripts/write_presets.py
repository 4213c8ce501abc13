"""Write docs/presets.md, the models that a recipe can name, from the registries.

python -m scripts.write_presets docs/presets.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from redepth.coarse import coarse_models
from redepth.refiners import betterdepth, distilled, redepth_anything, sharpdepth
from redepth.refiners.redepth_anything.captioners import captioners
from redepth.settings import PackagedWeights, PublishedWeights
from scripts.write_recipe_reference import table

HEAD = """\
# Which models can a recipe name?

<!-- Written by scripts/write_presets.py (make docs); do not edit. -->

A preset is a model by name, with its weights and the licence that its authors state. A recipe can
replace the weights of any preset by [weights of your own](weights.md). What the licences mean for
your labels is in [licences](licences.md). `redepth plan` prints the models of a recipe.
"""


def presets_reference() -> str:
    """Return docs/presets.md as Markdown."""
    cells = [(role, f"`{name}`", *_origin(name, weights)) for role, name, weights in _presets()]
    head = ("role", "preset", "repository on the hub", "revision", "licence")
    return f"{HEAD}\n{table(head, cells)}"


def _presets() -> list[tuple[str, str, PublishedWeights | None]]:
    return [
        *(("coarse", name, model.weights) for name, model in coarse_models.own.items()),
        *(("prior", name, preset.weights) for name, preset in redepth_anything.PRIORS.items()),
        *(("encoder", name, preset.weights) for name, preset in redepth_anything.ENCODERS.items()),
        *(
            ("refiner", name, weights)
            for trained in (betterdepth, sharpdepth, distilled)
            for name, weights in trained.PRESETS.items()
        ),
        *(("captioner", name, preset.weights) for name, preset in captioners.own.items()),
    ]


def _origin(name: str, weights: PublishedWeights | None) -> tuple[str, str, str]:
    if weights is None:
        page = "distillation.md" if name == "distilled" else f"{name}.md"
        return f"none published: train them ([{page}]({page}))", "", ""
    if isinstance(weights, PackagedWeights):
        return f"comes with redepth: `redepth/{weights.folder}`", "", weights.licence.words
    licence = weights.licence.words
    return f"`{weights.repo}`", f"`{weights.revision[:12]}`", licence


def main() -> None:
    """Run the command line: one argument, the page to write."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.write_presets docs/presets.md")
    Path(sys.argv[1]).write_text(presets_reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
