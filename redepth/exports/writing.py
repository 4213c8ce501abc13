"""Writing an export: what is there is left alone, and nothing is there before it is whole.

export.json (incomplete) -> catalogue.parquet -> pieces -> export.json (complete)
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from redepth import __version__
from redepth.config import differences
from redepth.errors import ConfigError
from redepth.exports import exr, hf_parquet, npy, png16, webdataset
from redepth.exports.items import Item, file_name, read_items
from redepth.exports.pieces import IMAGES, Layout, outdated, pieces_of, places
from redepth.exports.request import ExportFormat, ExportRequest, describe_quantity
from redepth.store.objects import Objects, open_objects
from redepth.store.reader import Labels
from redepth.types import DepthKind, LabelRow

FACTS = "export.json"
CATALOGUE = "catalogue.parquet"

OnImage = Callable[[], None]


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """An export that was begun, and what it still lacks.

    Attributes:
        labels: those it holds when it is done, each with maps.
        pending: rows of the images whose pieces are not written yet, shard by shard.
    """

    url: str
    request: ExportRequest
    labels: Labels
    pending: tuple[LabelRow, ...]

    @property
    def num_done(self) -> int:
        return len(self.labels) - len(self.pending)


def export_labels(labels: Labels, url: str, request: ExportRequest) -> int:
    """Write an export, or what an earlier call left of it; see `begin_export`, `write_pending`."""
    return write_pending(begin_export(labels, url, request), lambda: None)


def begin_export(labels: Labels, url: str, request: ExportRequest) -> ExportPlan:
    """Choose the labels, write what describes them, and find out what is left to do.

    Pieces of labels that changed since, or are gone, are removed first.

    Raises:
        ConfigError: no label fulfils the condition, labels of two kinds, or another export lies
            at `url`.
    """
    chosen = (labels if request.where is None else labels.where(request.where)).with_maps()
    root, layout = open_objects(url), Layout(request)
    facts = _facts(chosen, request)
    _require_same(root, facts)
    table = chosen.table()
    written = _remove_outdated(root, layout, table)
    root.put(FACTS, _encoded({**facts, "complete": False}))
    root.put(CATALOGUE, _parquet(table))
    pieces = pieces_of(table, layout)
    missing = {p for p in set(pieces) if not written.issuperset(layout.objects(p))}
    pending = [position for position, piece in enumerate(pieces) if piece in missing]
    return ExportPlan(url, request, chosen, tuple(chosen.rows(pending)))


def write_pending(plan: ExportPlan, on_image: OnImage) -> int:
    """Write the missing pieces, and say that the export is complete.

    Returns:
        Pixels of the pieces written here that 16 bits could not say at the request's scale.

    Raises:
        ImageRejected: a photograph is wanted and not there any more.
    """
    root = open_objects(plan.url)
    write = _write_sharded if plan.request.format.is_sharded else _write_images
    num_lost = 0
    for shard, rows in groupby(plan.pending, key=lambda row: row.shard):
        num_lost += write(root, plan, str(shard), list(rows), on_image)
    facts = _facts(plan.labels, plan.request)
    root.put(FACTS, _encoded({**facts, "complete": True}))
    return num_lost


def _remove_outdated(root: Objects, layout: Layout, table: pa.Table) -> set[str]:
    """Remove pieces that an earlier catalogue has otherwise; return the objects that are left."""
    before, written = _catalogue(root), layout.written(root)
    if before is not None:
        for piece in outdated(places(before, layout), places(table, layout)):
            for name in written.intersection(layout.objects(piece)):
                root.delete(name)
                written.remove(name)
    return written


def _write_images(
    root: Objects, plan: ExportPlan, shard: str, rows: Sequence[LabelRow], on_image: OnImage
) -> int:
    num_lost = 0
    for item in read_items(plan.labels, rows, plan.request):
        for name, content in _files(item, plan.request):
            root.put(name, content)
        num_lost += _num_lost(item, plan.request)
        on_image()
    return num_lost


def _write_sharded(
    root: Objects, plan: ExportPlan, shard: str, rows: Sequence[LabelRow], on_image: OnImage
) -> int:
    items = _counted(read_items(plan.labels, rows, plan.request), on_image)
    request = plan.request
    (name,) = Layout(request).objects(shard)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shard")
        if request.format is ExportFormat.WEBDATASET:
            webdataset.write_shard(path, items)
        else:
            hf_parquet.write_shard(path, items, request.quantities, request.with_images)
        root.put_file(name, path)
    return 0


def _num_lost(item: Item, request: ExportRequest) -> int:
    """Count pixels beyond the reach of a fixed scale; that of other kinds reaches everywhere."""
    kind = item.row.kind
    if request.format is not ExportFormat.PNG16 or kind is not DepthKind.METRIC_DEPTH:
        return 0
    return sum(
        png16.count_lost(m, png16.choose_scaling(m, name, kind, request.metric_scale))
        for name, m in item.maps.items()
    )


def _files(item: Item, request: ExportRequest) -> Iterator[tuple[str, bytes]]:
    """Yield an image's files; a PNG comes after what explains it."""
    kind = item.row.kind
    assert kind is not None, "a label has a kind"
    piece = file_name(item.row.id)
    for quantity, map_hw in item.maps.items():
        described = describe_quantity(quantity, kind, request)
        match request.format:
            case ExportFormat.PNG16:
                scaling = png16.choose_scaling(map_hw, quantity, kind, request.metric_scale)
                facts = png16.sidecar(item.row.id, described, map_hw, scaling)
                yield f"{quantity}/{piece}.json", facts
                yield f"{quantity}/{piece}.png", png16.encode(map_hw, scaling)
            case ExportFormat.EXR:
                header = {"id": item.row.id, "quantity": quantity, "kind": str(kind)}
                yield f"{quantity}/{piece}.exr", exr.encode(map_hw, header)
            case _:
                yield f"{quantity}/{piece}.npy", npy.encode(map_hw)
    if item.photograph is not None:
        yield f"{IMAGES}/{piece}.png", item.photograph


def _counted(items: Iterator[Item], on_image: OnImage) -> Iterator[Item]:
    for item in items:
        yield item
        on_image()


def _facts(labels: Labels, request: ExportRequest) -> dict[str, Any]:
    """Say what the export is: the sidecar of the whole."""
    kinds = sorted(set(labels.table(["kind"])["kind"].to_pylist()))
    if len(kinds) != 1:
        raise ConfigError(_not_one_kind(labels, request, kinds))
    kind = DepthKind(kinds[0])
    image = "upright 8-bit sRGB PNG, at the label's size, pixel on pixel"
    return {
        "software": f"redepth {__version__}",
        "labels": labels.url,
        "recipe": labels.dataset.recipe_name,
        "recipe_digest": labels.dataset.recipe_digest,
        "request": request.as_json(),
        "quantities": {name: describe_quantity(name, kind, request) for name in request.quantities},
        "image": image if request.with_images else None,
        "num_images": len(labels),
    }


def _not_one_kind(labels: Labels, request: ExportRequest, kinds: Sequence[str]) -> str:
    if kinds:
        return f"{labels.url} has maps of {', '.join(kinds)}: choose one, --where \"kind = '...'\""
    where = "" if request.where is None else f" where {request.where}"
    return f"nothing to export: no label of {labels.url} has maps{where}"


def _require_same(root: Objects, facts: dict[str, Any]) -> None:
    """Refuse to mix two exports in one place."""
    try:
        recorded = json.loads(root.read(FACTS))
    except FileNotFoundError:
        return
    except ValueError as error:
        raise ConfigError(f"{root.url}/{FACTS} is not readable: use another --out") from error
    held = ("labels", "recipe_digest", "request")
    changed = differences(
        {key: recorded.get(key) for key in held}, {key: facts[key] for key in held}
    )
    if changed:
        raise ConfigError(
            f"{root.url} holds another export:\n"
            + "\n".join(f"  {line}" for line in changed)
            + "\nuse another --out"
        )


def _catalogue(root: Objects) -> pa.Table | None:
    try:
        return pq.read_table(io.BytesIO(root.read(CATALOGUE)))
    except FileNotFoundError:
        return None


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _encoded(facts: dict[str, Any]) -> bytes:
    return (json.dumps(facts, indent=2) + "\n").encode()
