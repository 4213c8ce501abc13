"""Labels that are kept: of photographs that were touched or packed anew, with the same bytes.

A plan knows sizes and versions alone. What it plans for these is compared by its bytes where it is
read, and where they are the same the committed row stays, at its photograph's new place. Its pixels
stay in the group of the try that made them, as those of images do that a retry leaves alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter

from redepth.errors import CommitConflict
from redepth.store import layout
from redepth.store.catalogue import read_fragment
from redepth.store.manifest import ShardPlan, newest_if_changed
from redepth.store.objects import Objects, open_objects
from redepth.store.rows import Fragment
from redepth.types import ImageRef, LabelRow


def labels_to_keep(out: str, plan: ShardPlan) -> dict[str, LabelRow]:
    """Return, by id, the committed rows that stay if their photographs have the same bytes.

    One of another size has other bytes, and is not among them.
    """
    fragment = read_fragment(open_objects(out), plan.shard) if plan.if_changed else None
    if fragment is None:
        return {}
    committed = {row.id: row for row in fragment.rows() if row.id in plan.if_changed}
    return {
        image.id: committed[image.id]
        for image in plan.images
        if image.id in committed and _may_be_same(committed[image.id], image)
    }


def require_kept(plan: ShardPlan, fragment: Fragment | None, kept: Iterable[LabelRow]) -> None:
    """Hold rows that are kept to those that are committed now.

    Raises:
        CommitConflict: one of them is not there any more, or is of other bytes.
    """
    kept = list(kept)
    if not kept:
        return
    committed = {} if fragment is None else {row.id: row for row in fragment.rows()}
    for row in kept:
        there = committed.get(row.id)
        if there is None or _label_of(there) != _label_of(row):
            raise CommitConflict(
                f"shard {plan.shard}: the label of {row.id} was to be kept and is not what it was; "
                "plan again"
            )


def num_kept(rows: Iterable[LabelRow], plan: ShardPlan) -> int:
    """Count the rows of a plan that is committed whose pixels an earlier try has made."""
    groups = (row.array_group for row in rows if row.array_group is not None)
    return sum(layout.try_of(group) != plan.array_group for group in groups)


def num_kept_lately(objects: Objects) -> int:
    """Count the labels that were kept, as far as the newest plan is committed."""
    images = newest_if_changed(objects).to_pylist()
    total = 0
    for shard, lines in groupby(images, key=itemgetter("shard")):
        tries = {line["id"]: line["array_group"] for line in lines}
        total += _num_kept_of(read_fragment(objects, shard), tries)
    return total


def kept_words(number: int) -> str:
    """Say that photographs were touched and their labels kept; nothing where none were."""
    if not number:
        return ""
    if number == 1:
        return "1 photograph was touched but has the same bytes: its label was kept"
    return f"{number:,} photographs were touched but have the same bytes: their labels were kept"


def _may_be_same(row: LabelRow, image: ImageRef) -> bool:
    is_size_known = row.size_bytes is not None and image.size_bytes is not None
    is_same_size = not is_size_known or row.size_bytes == image.size_bytes
    return row.is_stored and row.sha256 is not None and is_same_size


def _label_of(row: LabelRow) -> tuple[str | None, str | None, int | None]:
    return row.sha256, row.array_group, row.array_index


def _num_kept_of(fragment: Fragment | None, tries: Mapping[str, str]) -> int:
    """Count a fragment's rows of earlier tries, where the try that compared them is committed."""
    if fragment is None:
        return 0
    columns = fragment.table.select(["id", "array_group"]).to_pylist()
    return sum(
        tries.get(line["id"], "") in fragment.array_groups
        and line["array_group"] is not None
        and layout.try_of(line["array_group"]) != tries[line["id"]]
        for line in columns
    )
