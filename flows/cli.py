"""The command line `redepth`: its commands, and what becomes of errors."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from flows import terminal
from flows.commands import (
    distilling,
    evaluation,
    inspection,
    labelling,
    maintenance,
    models,
    operations,
    predicting,
    pushing,
    recipes,
    scenes,
    training,
)
from flows.process_environment import prepare_environment
from redepth import __version__
from redepth.errors import ConfigError, RedepthError, StorageUnreachable

EXIT_FAILED = 1
EXIT_CONFIG = 2

app = typer.Typer(
    name="redepth",
    help="Refined depth labels for large collections of photographs.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for commands in (
    labelling.app,
    distilling.app,
    predicting.app,
    recipes.app,
    models.app,
    inspection.app,
    pushing.app,
    maintenance.app,
    evaluation.app,
    scenes.app,
    training.app,
    operations.app,
):
    app.add_typer(commands)


def _print_version(wanted: bool) -> None:
    if wanted:
        terminal.out.print(f"redepth {__version__}")
        raise typer.Exit


@app.callback()
def redepth(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Refined depth labels for large collections of photographs."""


def main() -> None:
    """Run the command line; what is known to go wrong becomes a message and an exit code."""
    prepare_environment()
    try:
        app()
    except (ConfigError, StorageUnreachable) as error:
        terminal.print_error(str(error))
        sys.exit(EXIT_CONFIG)
    except RedepthError as error:
        terminal.print_error(str(error))
        sys.exit(EXIT_FAILED)
