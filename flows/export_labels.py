"""Flow `export-labels`: labels in the format that another tool reads.

choose -> write what is missing -> say that it is complete
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import flow
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flows import terminal
from redepth.confidence.files import read_mapping
from redepth.exports.request import ExportRequest
from redepth.exports.writing import Exported
from redepth.images.collection import canonical_uri
from redepth.settings import parse_share
from tasks.write_export import write_export


@flow(
    name="export-labels",
    flow_run_name="export {labels} as {format}",
    persist_result=False,
    description="Write labels in another format.",
)
def export_labels(
    labels: str,
    out: str,
    format: str,
    quantities: Sequence[str] = ("refined", "confidence"),
    where: str | None = None,
    with_images: bool = False,
    settings: Mapping[str, Any] | None = None,
    keep: str | None = None,
    mapping: Path | None = None,
    allow: Sequence[str] = (),
) -> Exported:
    """Export what `out` does not hold yet; see `redepth export --help`.

    Args:
        labels: an output of label-images.
        out: where the export goes; any fsspec URL.
        format, quantities, where, with_images, settings: see `ExportRequest`.
        keep: share of each image's pixels, the surest, such as "70%".
        mapping: a file of redepth calibrate to read the labels with.
        allow: roots of photographs, as `Labels.photographs` takes them.
    """
    request = ExportRequest(
        format,
        tuple(quantities),
        where,
        with_images,
        settings or {},
        None if keep is None else parse_share(keep),
        None if mapping is None else read_mapping(mapping),
    )
    columns = (
        TextColumn("[bold]exporting"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=terminal.err) as progress:
        bar = progress.add_task("exporting", total=None)
        return write_export(
            canonical_uri(labels),
            canonical_uri(out),
            request,
            lambda total, done: progress.update(bar, total=total, completed=done),
            tuple(allow),
        )
