"""Prove that refining helps, on scenes with exact depth: scenes, lab, train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import terminal
from flows.commands.arguments import Overrides, RecipeName
from flows.embedded_server import quieten_prefect, start_prefect_server
from redepth.config import Device
from redepth.scenes.scene import Split

LAB_RECIPE = "mini"

PANEL = "Scenes with exact depth"

app = typer.Typer()
train_app = typer.Typer(help="Train the small models that come with redepth.", no_args_is_help=True)
app.add_typer(train_app, name="train", rich_help_panel=PANEL)


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
        typer.Option("--family", help="May be given again; default: every family."),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Scenes of each family.")] = 16,
    size: Annotated[int, typer.Option("--size", min=16, help="Pixels a side.")] = 128,
    split: Annotated[Split, typer.Option(help="Splits share no scene.")] = Split.HELD_OUT,
    seed: Annotated[int, typer.Option(min=0, help="The first scene's; then counted up.")] = 0,
) -> None:
    """Render scenes with exact depth, normals and captions: a collection whose truth is known."""
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
        bool, typer.Option("--quick", help="A few scenes and steps: does it run; proves nothing.")
    ] = False,
) -> None:
    """Measure on scenes with exact depth whether refining helps, beside its controls."""
    from dataclasses import replace

    from flows.run_lab import FULL_RUN, QUICK_RUN, run_lab

    options = QUICK_RUN if quick else FULL_RUN
    options = options if count is None else replace(options, count=count)
    run_lab(out, group or (), options, recipe, settings or ())


@train_app.command(
    name="mini",
    epilog="[bold]Example[/]\n\nredepth train mini --out models/mini\n\n"
    "redepth train mini --out models/mini --resume",
)
def train_mini(
    out: Annotated[Path, typer.Option("--out", "-o", help="A local folder for the weights.")],
    steps_scale: Annotated[
        float, typer.Option(min=0.0, help="Times the steps; below 1, of the scenes as well.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights and all draws.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoints in --out.")
    ] = False,
    device: Annotated[
        Device, typer.Option(help="auto is a GPU where there is one; it trains longer.")
    ] = "auto",
) -> None:
    """Train the small models that come with redepth, on rendered scenes."""
    quieten_prefect()
    from flows.train_mini import LOSSES_NAME
    from flows.train_mini import train_mini as train

    start_prefect_server()
    for model in train(str(out), steps_scale, seed, resume, device):
        terminal.out.print(f"{model.name} in {model.folder}", markup=False)
    terminal.out.print(f"how it went: {out / LOSSES_NAME}", markup=False)
