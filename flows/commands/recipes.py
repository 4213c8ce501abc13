"""Recipes: list them, show one in full, write a new one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from flows import terminal
from flows.commands.arguments import DEFAULT_RECIPE, Overrides
from flows.recipe_files import Quality, Wishes, new_recipe, recipe_text, remarks
from redepth.config import load_recipe, shipped_recipes
from redepth.errors import ConfigError

PANEL = "Label"

app = typer.Typer()
recipes = typer.Typer(
    help="List the recipes that come with redepth; show one, or write one of your own.",
    invoke_without_command=True,
    epilog="[bold]Examples[/]\n\nredepth recipes\n\nredepth recipes show mini\n\n"
    "redepth recipes new --out mine.yaml",
)
app.add_typer(recipes, name="recipes", rich_help_panel=PANEL)


@recipes.callback()
def list_recipes(ctx: typer.Context) -> None:
    """List the recipes that come with redepth; show one, or write one of your own."""
    if ctx.invoked_subcommand is None:
        terminal.print_recipes(shipped_recipes(), DEFAULT_RECIPE)


@recipes.command(
    epilog="[bold]Examples[/]\n\nredepth recipes show mini\n\n"
    "redepth recipes show redepth-anything-fast --set labels.refiner.num_steps=100 > mine.yaml"
)
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A shipped recipe, or a YAML file.")],
    settings: Overrides = None,
) -> None:
    """Print a recipe as YAML: every setting, and where its value comes from."""
    terminal.out.print(recipe_text(name, settings or ()), markup=False, end="")


@recipes.command(
    epilog="[bold]Examples[/]\n\nredepth recipes new\n\n"
    "redepth recipes new --metric --gpu --quality good --commercial --out mine.yaml"
)
def new(
    metric: Annotated[
        bool,
        typer.Option(
            "--metric/--relative", prompt="Depth in metres?", help="In metres, or up to scale."
        ),
    ],
    gpu: Annotated[
        bool, typer.Option("--gpu/--cpu", prompt="Will it run on a GPU?", help="Where it runs.")
    ],
    quality: Annotated[
        Quality,
        typer.Option(prompt="Quality: fast is the coarse model alone, best takes longest"),
    ],
    commercial: Annotated[
        bool,
        typer.Option(
            "--commercial/--research",
            prompt="Must every model allow commercial use?",
            help="Whether models that forbid commercial use are left out.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file, .yaml.")] = Path(
        "recipe.yaml"
    ),
) -> None:
    """Write a recipe from four answers, given as options or asked for."""
    if out.suffix not in {".yaml", ".yml"}:
        raise ConfigError(f"--out is {out}: a recipe's file ends in .yaml")
    if out.exists():
        raise ConfigError(f"{out} is there already: name another file with --out")
    wishes = Wishes(metric, gpu, quality, commercial)
    out.write_text(new_recipe(wishes, out.stem), encoding="utf-8")
    for line in remarks(wishes, load_recipe(str(out))):
        terminal.out.print(line, markup=False)
    terminal.out.print(f"written: {out}", markup=False)
    command = shlex.join(["redepth", "plan", "PHOTOS", "--out", "labels/", "--recipe", str(out)])
    terminal.out.print(f"next: {command}", markup=False)
