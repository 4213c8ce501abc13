"""Prove that refining helps, on scenes with exact depth: scenes, lab."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.arguments import Overrides, RecipeName
from redepth.scenes.scene import Split

LAB_RECIPE = "mini"

PANEL = "Scenes with exact depth"

app = typer.Typer()


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Example[/]\n\n"
    "redepth scenes --count 64 --family coins --family dunes --size 128 --out scenes/\n\n"
    "redepth label scenes/list.csv --out labels/ --recipe mini",
)
def scenes(
    out: Annotated[Path, typer.Option("--out", "-o", help="A local folder for the collection.")],
    family: Annotated[
        list[str] | None,
        typer.Option("--family", help="Can be repeated; default: every family."),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Scenes of each family.")] = 16,
    size: Annotated[int, typer.Option("--size", min=16, help="Pixels a side.")] = 128,
    split: Annotated[
        Split, typer.Option(help="Which split; splits share no scene.")
    ] = Split.HELD_OUT,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the first scene; the next ones count up.")
    ] = 0,
) -> None:
    """Render scenes with exact depth, normals and captions: a collection with ground truth."""
    from flows.render_scenes import render_collection
    from redepth.scenes.families import FAMILIES

    render_collection(out, tuple(dict.fromkeys(family or FAMILIES)), count, size, split, seed)


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\nredepth lab --quick\n\n"
    "redepth lab --group canonical --count 100 --set labels.refiner.token_learning_rate=0.003",
)
def lab(
    out: Annotated[Path, typer.Option("--out", "-o", help="A local folder.")] = Path("lab"),
    group: Annotated[
        list[str] | None,
        typer.Option(help="canonical, reliefs, in-distribution or objects; default: all."),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Held-out scenes of each group; default: 100.")
    ] = None,
    recipe: RecipeName = LAB_RECIPE,
    settings: Overrides = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="A few scenes and steps, to see that it runs; proves nothing."
        ),
    ] = False,
) -> None:
    """Measure whether refining helps, on scenes with exact depth and with controls."""
    from dataclasses import replace

    from flows.run_lab import FULL_RUN, QUICK_RUN, run_lab

    options = QUICK_RUN if quick else FULL_RUN
    options = options if count is None else replace(options, count=count)
    run_lab(out, group or (), options, recipe, settings or ())
