"""`redepth scenes`: render a collection with a bar, and draw its contact sheet."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flows import terminal
from redepth.report.scene_pictures import draw_collection_sheet
from redepth.scenes.collection import LIST_NAME, write_collection
from redepth.scenes.scene import Split

SHEET_NAME = "contact_sheet.png"
SCENES_ON_SHEET = 3  # of each family


def render_collection(
    out: Path, families: Sequence[str], count: int, size_px: int, split: Split, first_seed: int
) -> None:
    """Write `count` scenes of each family into `out`, and say where they are."""
    columns = (
        TextColumn("[bold]rendering"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=terminal.err) as progress:
        task = progress.add_task("rendering", total=count * len(families))
        rows = write_collection(
            out, families, count, size_px, split, first_seed, lambda: progress.advance(task)
        )
    shown = min(count, SCENES_ON_SHEET)
    sheet = draw_collection_sheet(families, size_px, split, first_seed, shown)
    (out / SHEET_NAME).write_bytes(sheet)
    terminal.out.print(f"{len(rows)} scenes in {out}", markup=False)
    terminal.out.print(f"look at them: {out / SHEET_NAME}", markup=False)
    command = ["redepth", "label", str(out / LIST_NAME), "--out", "labels/", "--recipe", "mini"]
    terminal.out.print(f"label them:   {shlex.join(command)}", markup=False)
