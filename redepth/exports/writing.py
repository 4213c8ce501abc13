"""Writing an export: what is there is left alone, and nothing is there before it is whole.

export.json (incomplete) -> README.md, catalogue.parquet -> pieces -> catalogue.parquet,
export.json (complete)

Where photographs are wanted, an image whose photograph is not the one that was labelled is left
out. left-out/NAME.json says so before its piece is there; a later call tries such a piece again.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from redepth.config import differences
from redepth.errors import ConfigError, ImageRejected, PhotographNotAllowed
from redepth.exports import card
from redepth.exports.part import CATALOGUE, ExportFacts, ExportFormat, OnImage
from redepth.exports.pieces import below, outdated, pieces_of, places, written
from redepth.exports.request import ExportRequest
from redepth.exports.source import read_items
from redepth.images.allowed import Allowed
from redepth.images.locator import Photographs
from redepth.redaction import shown
from redepth.store.objects import Objects, open_objects
from redepth.store.reader import Labels
from redepth.types import DepthKind, LabelRow

FACTS = card.FACTS_NAME
LAYOUT = 2  # which files hold what; another one's exports are neither read nor gone on with
LEFT_OUT = "left-out"
_MOST_NAMED = 1000  # unmatched labels in export.json; a person is told of fewer
_TOLD = 3


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """An export that was begun, and what it still lacks.

    Attributes:
        labels: those it holds when it is done, each with maps.
        photographs: opens theirs.
        facts: what holds for every image of it.
        absent: why by quantity, of those that are asked for and that no label has.
        names: of the files of each image, by id.
        unmatched: ids of labels that the format has no name for, such as those of no picture of a
            reconstruction; they are not exported.
        pending: rows of the images whose pieces are not written yet, shard by shard.
    """

    url: str
    request: ExportRequest
    labels: Labels
    photographs: Photographs
    facts: ExportFacts
    absent: Mapping[str, str]
    names: Mapping[str, str]
    unmatched: tuple[str, ...]
    pending: tuple[LabelRow, ...]

    @property
    def num_done(self) -> int:
        return len(self.labels) - len(self.pending)


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds.

    Attributes:
        num_lost: pixels of the pieces written now that the format cannot say.
        left_out: images whose photographs could not be read, by reason.
        absent: why by quantity, of those that are asked for and that no label has.
        remarks: what else the format says of it, for a person, by what it is about.
    """

    num_images: int
    num_lost: int
    left_out: Mapping[str, int]
    absent: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)


def export_labels(
    labels: Labels, url: str, request: ExportRequest, allow: Sequence[str] = ()
) -> Exported:
    """Write an export, or what an earlier call left of it; see `begin_export`, `write_pending`."""
    return write_pending(begin_export(labels, url, request, allow), lambda: None)


def begin_export(
    labels: Labels, url: str, request: ExportRequest, allow: Sequence[str] = ()
) -> ExportPlan:
    """Choose the labels, write what describes them, and find out what is left to do.

    Pieces of labels that changed since, or are gone, are removed first.

    Args:
        allow: roots of photographs, as `Labels.photographs` takes them.

    Raises:
        ConfigError: no label fulfils the condition, labels of two kinds or without one of the
            quantities, none has a value of any of them, another export lies at `url`, a library
            that the format takes is not installed, or photographs are wanted and none of them may
            be read.
    """
    narrowed = labels if request.where is None else labels.where(request.where)
    request.exporter.check()
    chosen = request.seen(narrowed.with_maps())
    kind = _kind(chosen, request)
    absent = _absent(chosen, request)
    held = [name for name in request.quantities if name not in absent]
    meanings = chosen.dataset.recorded.meanings
    facts = request.facts(kind, [chosen.quantities[name] for name in held], meanings)
    facts = replace(facts, opened=request.exporter.open(facts))
    root = open_objects(url)
    chosen, table, unmatched = _named(chosen, request, facts)
    said = _said(chosen, request, facts, absent)
    before = _require_same(root, said)
    if before is None:
        request.exporter.require_free(root, facts)
    photographs = labels.photographs(allow)
    if request.with_images:
        _require_allowed(photographs.allowed, table)
    is_other = before is not None and before.get("quantities") != facts.described
    there = _remove_outdated(root, request, facts, table, all_pieces=is_other)
    root.put(FACTS, _encoded({**said, "complete": False}))
    if is_other or not root.exists(card.NAME):  # whoever shares the export may have written on it
        root.put(card.NAME, card.card(request.exporter, facts.contents))
    root.put(CATALOGUE, _parquet(table))
    pieces = pieces_of(table, request.exporter)
    objects = request.exporter.objects
    missing = {p for p in set(pieces) if not there.issuperset(objects(p, facts))}
    pending = [position for position, piece in enumerate(pieces) if piece in missing]
    rows = tuple(chosen.rows(pending))
    names = dict(zip(table["id"].to_pylist(), table["name"].to_pylist(), strict=True))
    return ExportPlan(url, request, chosen, photographs, facts, absent, names, unmatched, rows)


def write_pending(plan: ExportPlan, on_image: OnImage) -> Exported:
    """Write the missing pieces, and say that the export is complete."""
    root = open_objects(plan.url)
    left_out: dict[str, str] = {}

    def leave_out(row: LabelRow, error: ImageRejected) -> None:
        said = {"id": row.id, "reason": error.summary, "error": str(error)}
        root.put(f"{LEFT_OUT}/{plan.names[row.id]}.json", _encoded(said))
        left_out[row.id] = error.summary
        on_image()

    num_lost = 0
    for shard, rows in groupby(plan.pending, key=lambda row: row.shard):
        items = read_items(
            plan.labels, list(rows), plan.names, plan.facts.contents, plan.photographs, leave_out
        )
        num_lost += plan.request.exporter.write(root, str(shard), items, plan.facts, on_image)
    counts = dict(Counter(left_out.values()))
    num_images = len(plan.labels) - len(left_out)
    names = [name for image_id, name in plan.names.items() if image_id not in left_out]
    finished = plan.request.exporter.finish(root, names, plan.facts)
    held = {"num_images": num_images, "left_out": counts, **finished.facts, **_unmatched(plan)}
    _complete(root, plan, left_out, held)
    remarks = {**finished.remarks, **_remark_of_unmatched(plan)}
    return Exported(num_images, num_lost, counts, plan.absent, remarks)


def _unmatched(plan: ExportPlan) -> dict[str, object]:
    if not plan.unmatched:
        return {}
    return {"num_unmatched": len(plan.unmatched), "unmatched": list(plan.unmatched[:_MOST_NAMED])}


def _remark_of_unmatched(plan: ExportPlan) -> dict[str, str]:
    if not plan.unmatched:
        return {}
    first = ", ".join(plan.unmatched[:_TOLD])
    return {"no picture": f"{len(plan.unmatched)} labels are not exported: {first}"}


def _complete(
    root: Objects, plan: ExportPlan, left_out: Mapping[str, str], held: Mapping[str, object]
) -> None:
    if left_out:
        table = plan.labels.table()
        names = [plan.names[image_id] for image_id in table["id"].to_pylist()]
        table = table.append_column("name", pa.array(names, pa.string()))
        is_out = pc.is_in(table["id"], value_set=pa.array(left_out, pa.string()))
        root.put(CATALOGUE, _parquet(table.filter(pc.invert(is_out))))
    said = _said(plan.labels, plan.request, plan.facts, plan.absent)
    root.put(FACTS, _encoded({**said, **held, "complete": True}))


def _require_allowed(allowed: Allowed, table: pa.Table) -> None:
    """Refuse an export with photographs of which none may be read."""
    uris = table["uri"].to_pylist()
    if not any(allowed.allows(uri) for uri in uris):
        try:
            allowed.require(uris[0])
        except PhotographNotAllowed as error:
            raise ConfigError(f"no photograph may be read: {error}") from error


def _remove_outdated(
    root: Objects,
    request: ExportRequest,
    facts: ExportFacts,
    table: pa.Table,
    *,
    all_pieces: bool,
) -> set[str]:
    """Remove pieces that an earlier catalogue has otherwise; return the objects that are left.

    Args:
        all_pieces: the earlier export held other quantities, so that none of its pieces is right.
    """
    before, there = _catalogue(root), written(root, request.exporter, facts)
    exporter, marks = (
        request.exporter,
        [name for name in below(root, LEFT_OUT) if name.endswith(".json")],
    )
    again = _left_out_before(exporter, table, marks)
    if before is not None:
        now = {} if all_pieces else places(table, exporter)
        again |= set(outdated(places(before, exporter), now))
    for piece in again:
        for name in there.intersection(exporter.objects(piece, facts)):
            root.delete(name)
            there.remove(name)
    for mark in marks:  # once what it speaks of is gone
        root.delete(mark)
    return there


def _left_out_before(exporter: ExportFormat, table: pa.Table, marks: Iterable[str]) -> set[str]:
    """Name the pieces that an earlier call wrote without one of their images."""
    names = {mark.removeprefix(f"{LEFT_OUT}/").removesuffix(".json") for mark in marks}
    if not names:
        return set()
    pieces = zip(table["name"].to_pylist(), pieces_of(table, exporter), strict=True)
    return {piece for name, piece in pieces if name in names}


def _named(
    labels: Labels, request: ExportRequest, facts: ExportFacts
) -> tuple[Labels, pa.Table, tuple[str, ...]]:
    """Return the labels that the format has a name for, their rows with that name, other ids.

    Raises:
        ConfigError: there is none.
    """
    table = labels.table()
    ids, uris = table["id"].to_pylist(), table["uri"].to_pylist()
    names = pa.array(request.exporter.named(ids, uris, facts), pa.string())
    if names.null_count == len(names):
        raise ConfigError(_no_name(uris, request))
    table = table.append_column("name", names)
    if not names.null_count:
        return labels, table, ()
    kept = names.is_valid()
    unmatched = table.filter(names.is_null())["id"].to_pylist()
    return labels.subset(kept), table.filter(kept), tuple(unmatched)


def _no_name(uris: Sequence[str], request: ExportRequest) -> str:
    first = shown(uris[0]) if uris else "none"
    return (
        f"no label is of a picture that the format {request.format} was given: the first of "
        f"{len(uris)} is {first}"
    )


def _absent(labels: Labels, request: ExportRequest) -> dict[str, str]:
    """Return of the chosen quantities those that no label has, with why.

    Raises:
        ConfigError: that is all of them, or one is unknown.
    """
    labels.require_quantities(request.quantities)
    absent = {name: why for name, why in labels.absent.items() if name in request.quantities}
    if len(absent) == len(set(request.quantities)):
        reasons = "; ".join(f"{name}: {why}" for name, why in absent.items())
        raise ConfigError(f"nothing to export: {reasons}")
    return absent


def _kind(labels: Labels, request: ExportRequest) -> DepthKind:
    kinds = sorted(set(labels.table(["kind"])["kind"].to_pylist()))
    if len(kinds) != 1:
        raise ConfigError(_not_one_kind(labels, request, kinds))
    return DepthKind(kinds[0])


def _said(
    labels: Labels, request: ExportRequest, facts: ExportFacts, absent: Mapping[str, str]
) -> dict[str, Any]:
    """Say what the export is: the sidecar of the whole."""
    image = "upright 8-bit sRGB PNG, at the label's size, pixel on pixel"
    return {
        "software": f"redepth {version('redepth')}",
        "layout": LAYOUT,
        "labels": labels.url,
        "recipe": labels.dataset.recipe_name,
        "recipe_digest": labels.dataset.recipe_digest,
        "request": request.as_json(),
        "quantities": facts.described,
        "absent": dict(absent),
        "image": image if request.with_images else None,
        "num_images": len(labels),
        **_sources(request, facts),
    }


def _sources(request: ExportRequest, facts: ExportFacts) -> dict[str, Any]:
    digests = dict(request.exporter.sources(facts))
    return {"sources": digests} if digests else {}


def _not_one_kind(labels: Labels, request: ExportRequest, kinds: Sequence[str]) -> str:
    if kinds:
        return f"{labels.url} has maps of {', '.join(kinds)}: choose one, --where \"kind = '...'\""
    where = "" if request.where is None else f" where {request.where}"
    return f"nothing to export: no label of {labels.url} has maps{where}"


def _require_same(root: Objects, facts: dict[str, Any]) -> dict[str, Any] | None:
    """Refuse to mix two exports in one place; return what is said there, None of nothing."""
    try:
        recorded: dict[str, Any] = json.loads(root.read(FACTS))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigError(f"{root.url}/{FACTS} is not readable: use another --out") from error
    held = ("layout", "labels", "recipe_digest", "request", "sources")
    changed = differences(
        {key: recorded.get(key) for key in held}, {key: facts.get(key) for key in held}
    )
    if changed:
        raise ConfigError(
            f"{root.url} holds another export:\n"
            + "\n".join(f"  {line}" for line in changed)
            + "\nuse another --out"
        )
    return recorded


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
