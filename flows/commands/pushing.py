"""Publish labels as a data set: push."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from flows import terminal
from flows.commands.arguments import AllowPhotographs, Keep, LabelsUrl, MappingFile
from flows.progress_bar import progress_bar
from redepth.exports import hf_parquet

PANEL = "Use labels"
FORMAT = hf_parquet.FORMAT.name

app = typer.Typer()


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\nredepth push labels/ me/holiday-depth --dry-run --out pushed/\n\n"
    "redepth push labels/ me/holiday-depth --private --where \"outcome = 'refined'\"",
)
def push(
    labels: LabelsUrl,
    repo: Annotated[str, typer.Argument(metavar="HF_REPO", help="OWNER/NAME on the hub.")],
    format: Annotated[
        str,
        typer.Option("--format", "-f", help="A format of redepth export; default: Parquet files."),
    ] = FORMAT,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Keep a copy of what is uploaded in this folder."),
    ] = None,
    quantity: Annotated[
        str, typer.Option(help="Maps to upload, separated by commas; see redepth export.")
    ] = "refined,confidence",
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="A condition on the catalogue's columns.")
    ] = None,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="Upload the photographs too. Check that you may.")
    ] = False,
    keep: Keep = None,
    mapping: MappingFile = None,
    private: Annotated[
        bool, typer.Option("--private", help="A new data set is visible only to its owner.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="List what would be uploaded; upload nothing."),
    ] = False,
    allow: AllowPhotographs = None,
) -> None:
    """Upload labels to the Hugging Face hub, with a card: kinds, licences, calibration."""
    from redepth.confidence.files import read_mapping
    from redepth.exports.card import NAME
    from redepth.exports.hub import dataset_card, files_below, upload
    from redepth.exports.request import ExportRequest
    from redepth.exports.writing import begin_export, write_pending
    from redepth.settings import parse_share
    from redepth.store.reader import open_labels

    names = tuple(name.strip() for name in quantity.split(","))
    request = ExportRequest(
        format,
        names,
        where,
        with_images,
        keep=None if keep is None else parse_share(keep),
        fitted=None if mapping is None else read_mapping(mapping),
    )
    kept = tempfile.TemporaryDirectory(prefix="redepth-push-") if out is None else nullcontext(out)
    with kept as place:
        folder = Path(place)
        plan = begin_export(open_labels(labels), str(folder), request, allow or ())
        with progress_bar("writing", len(plan.pending)) as advance:
            write_pending(plan, advance)
        (folder / NAME).write_bytes(dataset_card(plan))
        for name, size_bytes in files_below(folder):
            terminal.out.print(f"{size_bytes / 1e6:10.3f} MB  {name}", markup=False)
        if dry_run:
            words = "" if out is None else f"; look at it in {out}"
            terminal.out.print(f"Nothing was uploaded to {repo}{words}.", markup=False)
            return
        terminal.out.print(f"uploaded: {upload(folder, repo, private=private)}", markup=False)
