"""Committing a shard: its arrays, then its fragment, whose atomic put makes all of it true.

The arrays go to a group whose name has a digest of them: what another writer of the same shard puts
meanwhile is the same objects or other ones, never a mixture. The fragment is put on the condition
that it still is as it was read, and only while no later plan was made for the output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

from redepth.config import Storage
from redepth.errors import CommitConflict, ConfigError, IntegrityError
from redepth.quantities import Quantity
from redepth.store import arrays, layout
from redepth.store.arrays import Maps
from redepth.store.catalogue import read_fragment
from redepth.store.conditional_puts import put_if_unchanged, read_versioned
from redepth.store.digests import group_digest, maps_digest
from redepth.store.kept import kept_words, num_kept, require_kept
from redepth.store.layout import FORMAT_VERSION
from redepth.store.manifest import ShardPlan, is_newer, newest_manifest, work_digest
from redepth.store.objects import Objects, open_objects
from redepth.store.rows import Fragment, decode_fragment, encode_fragment
from redepth.types import Label, LabelRow, Outcome

# One quantity is encoded while the one before is on its way.
_PUTS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, eq=False)
class _Received:
    """A label as it came: its row, its maps as they are stored, and their digest, being taken."""

    row: LabelRow
    maps: Maps | None = None
    digest: Future[bytes] | None = None
    quantities: tuple[Quantity, ...] = ()


@dataclass(frozen=True, slots=True)
class ShardCommit:
    """What committing one shard's plan came to.

    Attributes:
        outcomes: the plan's images by outcome; outcomes that none has are there with 0.
        num_bytes: written, 0 if the plan was committed already.
        num_kept: images among them whose label was kept: their photographs have the same bytes.
    """

    shard: str
    outcomes: Mapping[Outcome, int]
    num_bytes: int
    num_kept: int = 0

    @property
    def words(self) -> str:
        """Say how many images ended how, leaving out what none did."""
        ended = ", ".join(f"{n} {outcome.words}" for outcome, n in self.outcomes.items() if n)
        return f"{ended}; {kept_words(self.num_kept)}" if self.num_kept else ended


def is_committed(out: str, plan: ShardPlan) -> bool:
    """Whether this plan's work is in the committed fragment of its shard."""
    fragment = read_fragment(open_objects(out), plan.shard)
    return fragment is not None and plan.array_group in fragment.array_groups


def write_shard(
    out: str, plan: ShardPlan, labels: Iterable[Label], storage: Storage
) -> ShardCommit:
    """Store a plan's labels and commit them, all or none.

    Nothing is visible before the fragment is put. Killed before that and run again, it writes the
    same names and, for the same labels, the same bytes. A plan that is committed already is left as
    it is: `labels` is not even read. Where another writer commits the plan first, its labels count
    and ours are ignored. A label that is kept stores nothing: its row names the pixels of before.

    Args:
        labels: one for each of the plan's images, in any order; each is cast_for_storage to what is
            stored as it comes, so a lazy iterable keeps one label's full maps in memory.

    Raises:
        IntegrityError: a label is missing, came twice, was not planned, or contradicts its arrays.
        CommitConflict: the shard is not as it was when it was planned, a label that is kept is not
            what it was, or the output was planned again since.
        ConfigError: a value does not fit the recipe's storage dtype, or two labels have other
            quantities.
    """
    objects = open_objects(out)
    name = layout.fragment_name(plan.shard)
    seen = read_versioned(objects, name)
    fragment = None if seen is None else decode_fragment(plan.shard, seen.content)
    if fragment is not None and plan.array_group in fragment.array_groups:
        return _commit(plan, fragment.rows(), num_bytes=0)
    _require_as_planned(plan, fragment)
    with ThreadPoolExecutor(1, "digest") as digests:
        received = _receive(plan, labels, storage, digests)
    require_kept(plan, fragment, (one.row for one in received.values() if one.row.is_stored))
    rows = _placed(plan, received)
    _require_newest_plan(objects, plan)  # nothing is written into an output that was removed
    num_bytes = _put_arrays(objects, plan, rows, received, storage)
    content = _part_content(plan, fragment, rows)
    _require_newest_plan(objects, plan)
    if not put_if_unchanged(objects, name, content, seen):
        return _of_the_winner(objects, plan)
    return _commit(plan, rows, num_bytes + len(content))


def _of_the_winner(objects: Objects, plan: ShardPlan) -> ShardCommit:
    """Return what another writer has committed of this plan while we were about to."""
    fragment = read_fragment(objects, plan.shard)
    if fragment is None or plan.array_group not in fragment.array_groups:
        raise CommitConflict(
            f"shard {plan.shard} was changed by another run while {plan.array_group} was written; "
            "plan again"
        )
    return _commit(plan, fragment.rows(), num_bytes=0)


def _commit(plan: ShardPlan, rows: Iterable[LabelRow], num_bytes: int) -> ShardCommit:
    """Count what the plan's images came to, in rows that may be of other images too."""
    planned = _planned(rows, plan)
    counts = Counter(row.outcome for row in planned)
    outcomes = {outcome: counts[outcome] for outcome in Outcome}
    return ShardCommit(plan.shard, outcomes, num_bytes, num_kept(planned, plan))


def _require_newest_plan(objects: Objects, plan: ShardPlan) -> None:
    """Stop the run of an older plan if the newest one has cut the images otherwise.

    Plans that cut alike name their shards alike, and of such a shard one commit succeeds.
    """
    if plan.manifest is None:
        return
    newest = newest_manifest(objects)
    if newest is None or is_newer(plan.manifest, newest):
        raise CommitConflict(
            f"{objects.url}: {plan.manifest}, which this run works on, is not there any more: the "
            "output was removed. Nothing more is written there; run again to begin anew"
        )
    if not is_newer(newest, plan.manifest):
        return
    if work_digest(newest) != work_digest(plan.manifest):
        raise CommitConflict(
            f"{objects.url} was planned again ({newest}) since {plan.manifest}, which this run "
            "works on: another run has taken over. What is committed stays; run again when it ends"
        )


def _require_as_planned(plan: ShardPlan, fragment: Fragment | None) -> None:
    """Hold a retry to the fragment it was planned on: a new shard's plan has none."""
    if fragment is None:
        if plan.is_retry:
            raise CommitConflict(
                f"shard {plan.shard} was to be retried but is not committed any more; plan again"
            )
        return
    expected = layout.array_group(plan.shard, len(fragment.array_groups))
    ids = set(fragment.table["id"].to_pylist())
    if plan.array_group != expected or any(image.id not in ids for image in plan.images):
        raise CommitConflict(
            f"shard {plan.shard} has changed since {plan.array_group} was planned (the next try is "
            f"{expected}); plan again"
        )


def _receive(
    plan: ShardPlan, labels: Iterable[Label], storage: Storage, digests: Executor
) -> dict[str, _Received]:
    """Narrow label after label, while the digest of the one before is taken."""
    planned = {image.id for image in plan.images}
    received: dict[str, _Received] = {}
    for label in labels:
        row = label.row
        if row.id not in planned or row.id in received:
            problem = "came twice" if row.id in received else "was not planned"
            raise IntegrityError(f"shard {plan.shard}: a label for {row.id} {problem}")
        _require_size(label)
        received[row.id] = _Received(row)
        if label.arrays is not None:
            maps = arrays.cast_for_storage(row.id, label.arrays, storage)
            digest = digests.submit(maps_digest, row.id, row.kind, maps)
            received[row.id] = _Received(row, maps, digest, label.arrays.quantities)
    missing = [image.id for image in plan.images if image.id not in received]
    if missing:
        raise IntegrityError(
            f"shard {plan.shard}: {len(missing)} of {len(plan.images)} labels are missing, first "
            f"{missing[:3]}; nothing was committed"
        )
    return received


def _require_size(label: Label) -> None:
    if label.arrays is None:
        return
    row, came = label.row, label.arrays.size_hw
    if came != (row.height_px, row.width_px):
        raise IntegrityError(
            f"{row.id}: the row says {row.height_px} x {row.width_px} px, its maps are {came}"
        )


def _placed(plan: ShardPlan, received: Mapping[str, _Received]) -> list[LabelRow]:
    """Put the rows into the plan's order and say where each one's pixels are, or stay."""
    ordered = [received[image.id] for image in plan.images]
    digest = group_digest([label.digest.result() for label in ordered if label.digest])
    stored = layout.stored_group(plan.array_group, digest)
    rows: list[LabelRow] = []
    num_stored = 0
    for label in ordered:
        row = replace(label.row, shard=plan.shard)
        if label.maps is not None:
            row = replace(row, array_group=stored, array_index=num_stored)
            num_stored += 1
        rows.append(row)
    return rows


def _put_arrays(
    objects: Objects,
    plan: ShardPlan,
    rows: Sequence[LabelRow],
    received: Mapping[str, _Received],
    storage: Storage,
) -> int:
    stored = [row for row in rows if received[row.id].maps is not None]
    maps = [held for row in stored if (held := received[row.id].maps) is not None]
    if not maps:
        return 0
    quantities = [
        arrays.as_stored(quantity, storage.dtype)
        for quantity in _same_quantities([received[row.id] for row in stored])
    ]
    folder = layout.group_folder(stored[0].array_group or "")
    attributes = _attributes(plan, stored, quantities)
    encoded = arrays.encode_group(maps, quantities, attributes, storage.compression_level)
    num_bytes = 0
    with ThreadPoolExecutor(_PUTS_AT_ONCE, "put") as pool:
        puts: list[Future[None]] = []
        for name, content in encoded:
            num_bytes += len(content)
            if name == arrays.METADATA:  # the last of them: all others are there
                for put in puts:
                    put.result()
            puts.append(pool.submit(objects.put, f"{folder}/{name}", content))
        puts[-1].result()
    return num_bytes


def _same_quantities(labels: Sequence[_Received]) -> tuple[Quantity, ...]:
    """Return the quantities of a group's labels: each of them has an array, and so all images."""
    first = labels[0]
    for label in labels:
        if label.quantities != first.quantities:
            raise ConfigError(
                f"{first.row.id} has the maps {_named(first)}, {label.row.id} has {_named(label)}: "
                "coarse model and refiner must return the same extra maps for every image"
            )
    return first.quantities


def _named(label: _Received) -> str:
    return ", ".join(quantity.name for quantity in label.quantities)


def _attributes(
    plan: ShardPlan, stored: Sequence[LabelRow], quantities: Sequence[Quantity]
) -> dict[str, object]:
    """Say what the group holds; readers check `images` and `sizes` against the rows."""
    kinds = {row.kind for row in stored}
    if len(kinds) != 1 or None in kinds:
        raise IntegrityError(
            f"shard {plan.shard}: one kind of map expected, got {sorted(map(str, kinds))}"
        )
    return {
        "format_version": FORMAT_VERSION,
        "kind": str(stored[0].kind),
        "shard": plan.shard,
        "images": [row.id for row in stored],
        # Of metric maps NaN alone does not tell where the padding begins.
        "sizes": [[row.height_px, row.width_px] for row in stored],
        "quantities": [asdict(quantity) for quantity in quantities],
    }


def _part_content(plan: ShardPlan, fragment: Fragment | None, rows: Sequence[LabelRow]) -> bytes:
    """Encode the whole fragment: a retried image's row takes its old row's place, others stay."""
    if fragment is None:
        return encode_fragment(rows, [plan.array_group])
    new = {row.id: row for row in rows}
    merged = [new.get(row.id, row) for row in fragment.rows()]
    return encode_fragment(merged, [*fragment.array_groups, plan.array_group])


def _planned(rows: Iterable[LabelRow], plan: ShardPlan) -> list[LabelRow]:
    planned = {image.id for image in plan.images}
    return [row for row in rows if row.id in planned]
