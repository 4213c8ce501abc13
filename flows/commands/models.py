"""Coarse models: what there is to choose among."""

from __future__ import annotations

from typing import Annotated

import typer

from flows import terminal

PANEL = "Label"

app = typer.Typer()


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\nredepth models\n\nredepth models --device 'NVIDIA L4'",
)
def models(
    device: Annotated[
        str | None,
        typer.Option(help="A card as CUDA names it, to estimate seconds for: default, this one's."),
    ] = None,
) -> None:
    """List the coarse models: what each gives, its size, its operations, its licence.

    Take one with --set labels.coarse.preset=NAME.
    """
    from redepth.costing.coarse_table import coarse_lines

    terminal.print_models(coarse_lines(device), device)
