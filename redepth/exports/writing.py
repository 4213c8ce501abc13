"""Writing an export: what is there is left alone, and nothing is there before it is whole.

export.json (incomplete) -> catalogue.parquet -> pieces -> export.json (complete)
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from redepth import __version__
from redepth.config import differences
from redepth.errors import ConfigError
from redepth.exports.part import ExportFacts, OnImage
from redepth.exports.pieces import outdated, pieces_of, places, written
from redepth.exports.request import ExportRequest
from redepth.exports.source import read_items
from redepth.store.objects import Objects, open_objects
from redepth.store.reader import Labels
from redepth.types import DepthKind, LabelRow

FACTS = "export.json"
CATALOGUE = "catalogue.parquet"


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """An export that was begun, and what it still lacks.

    Attributes:
        labels: those it holds when it is done, each with maps.
        facts: what holds for every image of it.
        pending: rows of the images whose pieces are not written yet, shard by shard.
    """

    url: str
    request: ExportRequest
    labels: Labels
    facts: ExportFacts
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
        ConfigError: no label fulfils the condition, labels of two kinds or without one of the
            quantities, another export lies at `url`, or a library that the format takes is not
            installed.
    """
    chosen = (labels if request.where is None else labels.where(request.where)).with_maps()
    request.exporter.check()
    kind = _kind(chosen, request)
    chosen.require_quantities(request.quantities)
    facts = request.facts(kind, chosen.quantities)
    root = open_objects(url)
    said = _said(chosen, request, facts)
    _require_same(root, said)
    table = chosen.table()
    there = _remove_outdated(root, request, facts, table)
    root.put(FACTS, _encoded({**said, "complete": False}))
    root.put(CATALOGUE, _parquet(table))
    pieces = pieces_of(table, request.exporter)
    objects = request.exporter.objects
    missing = {p for p in set(pieces) if not there.issuperset(objects(p, facts.contents))}
    pending = [position for position, piece in enumerate(pieces) if piece in missing]
    return ExportPlan(url, request, chosen, facts, tuple(chosen.rows(pending)))


def write_pending(plan: ExportPlan, on_image: OnImage) -> int:
    """Write the missing pieces, and say that the export is complete.

    Returns:
        Pixels of the pieces written here that the format cannot say.

    Raises:
        ImageRejected: a photograph is wanted and not there any more.
    """
    root = open_objects(plan.url)
    num_lost = 0
    for shard, rows in groupby(plan.pending, key=lambda row: row.shard):
        items = read_items(plan.labels, list(rows), plan.facts.contents)
        num_lost += plan.request.exporter.write(root, str(shard), items, plan.facts, on_image)
    said = _said(plan.labels, plan.request, plan.facts)
    root.put(FACTS, _encoded({**said, "complete": True}))
    return num_lost


def _remove_outdated(
    root: Objects, request: ExportRequest, facts: ExportFacts, table: pa.Table
) -> set[str]:
    """Remove pieces that an earlier catalogue has otherwise; return the objects that are left."""
    before, there = _catalogue(root), written(root, request)
    if before is not None:
        exporter = request.exporter
        for piece in outdated(places(before, exporter), places(table, exporter)):
            for name in there.intersection(exporter.objects(piece, facts.contents)):
                root.delete(name)
                there.remove(name)
    return there


def _kind(labels: Labels, request: ExportRequest) -> DepthKind:
    kinds = sorted(set(labels.table(["kind"])["kind"].to_pylist()))
    if len(kinds) != 1:
        raise ConfigError(_not_one_kind(labels, request, kinds))
    return DepthKind(kinds[0])


def _said(labels: Labels, request: ExportRequest, facts: ExportFacts) -> dict[str, Any]:
    """Say what the export is: the sidecar of the whole."""
    image = "upright 8-bit sRGB PNG, at the label's size, pixel on pixel"
    return {
        "software": f"redepth {__version__}",
        "labels": labels.url,
        "recipe": labels.dataset.recipe_name,
        "recipe_digest": labels.dataset.recipe_digest,
        "request": request.as_json(),
        "quantities": facts.described,
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
