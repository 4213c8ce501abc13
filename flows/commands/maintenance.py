"""Keep an output sound: verify it, clean up after runs that were killed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from flows import terminal
from flows.commands.arguments import AllowPhotographs, LabelsUrl
from flows.progress_bar import progress_bar

EXIT_FAILED = 1
PANEL = "Keep labels"

app = typer.Typer()


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\nredepth verify s3://labels/2026\n\n"
    "redepth verify labels/ --quantity coarse,refined\n\n"
    "redepth verify labels/ --photographs",
)
def verify(
    labels: LabelsUrl,
    quantity: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="What the digest covers; default: all that is stored."),
    ] = None,
    photographs: Annotated[
        bool,
        typer.Option(
            "--photographs",
            help="Read the photographs too, and compare them with those that were labelled.",
        ),
    ] = False,
    allow: AllowPhotographs = None,
) -> None:
    """Read every row and pixel again, check them, and print one digest of the content.

    Two outputs with the same labels have the same digest, however their runs were cut, interrupted
    and placed. Exit code 1 if something is wrong; with --photographs, also if a photograph is gone
    or is not the file that was labelled.
    """
    from redepth.store.photographs import check_photographs, count_photographs
    from redepth.store.verification import count_parts, verify_labels

    with progress_bar("reading", count_parts(labels)) as advance:
        names = None if quantity is None else tuple(part.strip() for part in quantity.split(","))
        found = verify_labels(labels, advance, names)
    compared = None
    if photographs:
        with progress_bar("comparing photographs", count_photographs(labels)) as advance:
            compared = check_photographs(labels, allow or (), advance)
    terminal.print_verification(labels, found, compared)
    if found.num_problems or (compared is not None and compared.num_others):
        raise typer.Exit(EXIT_FAILED)


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\nredepth clean labels/\n\nredepth clean labels/ --yes",
)
def clean(
    labels: LabelsUrl,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove what was found; without it, only list it.")
    ] = False,
    older_than: Annotated[
        float,
        typer.Option(
            metavar="HOURS",
            min=0,
            help="Keep files that changed more recently: a run may be at work.",
        ),
    ] = 24.0,
) -> None:
    """Find what killed runs left behind; remove it with --yes."""
    from redepth.store.cleaning import find_leftovers, remove_leftovers
    from redepth.store.dataset import read_dataset

    read_dataset(labels)
    leftovers = find_leftovers(labels, timedelta(hours=older_than), datetime.now(UTC))
    if yes:
        with progress_bar("removing", len(leftovers)) as advance:
            for _ in remove_leftovers(labels, leftovers):
                advance()
    terminal.print_leftovers(labels, leftovers, removed=yes)
