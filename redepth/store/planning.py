"""Planning: a listing, less what is committed, cut into shards and streamed into a manifest.

A million images pass through in columns, a batch at a time; what stays in memory is the keys of the
committed images, and eight bytes for each listed one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from redepth.config import Recipe
from redepth.errors import ConfigError
from redepth.images.collection import could_list
from redepth.images.noticed import Noticed, Notices
from redepth.images.signed_addresses import SignedAddresses
from redepth.store import layout, manifest
from redepth.store.catalogue import (
    OUTCOMES,
    CommittedImages,
    add_counts,
    committed_images,
    committed_tags,
    committed_values,
    fingerprints,
    index_once,
)
from redepth.store.key_index import KeyIndex, keys_of
from redepth.store.objects import Objects, open_objects
from redepth.types import ImageRef, Outcome

_BATCH = 16384
_HELD_AT_ONCE = 256
_VANISHED_NAMED = 20
_WITH_LABEL = pa.array([i for i, outcome in enumerate(OUTCOMES) if outcome.has_label], pa.int8())
# Images that are tried again: the fragment they are in, and whether they may keep their label.
_AGAIN = pa.schema(
    [
        *manifest.IMAGE_FIELDS,
        pa.field("fragment", pa.int32()),
        pa.field("if_changed", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a plan found.

    Attributes:
        manifest: URL of the manifest, None if nothing is left or the plan is a draft.
        num_listed: images of the listing; all the counts below are of them.
        num_done: images that are committed and not planned again.
        num_changed: committed images whose photograph has another size or version by now.
        num_pending: images that are planned.
        num_shards: shards they are cut into; `read_shard_plans` numbers them from 0.
        size_bytes: of the pending images, as far as the listing tells.
        outcomes: the committed images by outcome, those planned again included.
        num_if_changed: pending images that have a label and are planned only because size or
            version are others by now: where the bytes are the same, the label is kept.
        num_vanished: committed images of the collection that the listing does not name any more.
        vanished: where some of them were, sorted.
        notices: what the listing met beside images; not listed is not vanished.
        signed: what opens images whose uri is redacted; in no file.
    """

    manifest: str | None
    num_listed: int
    num_done: int
    num_pending: int
    num_shards: int
    size_bytes: int
    outcomes: dict[Outcome, int]
    num_changed: int = 0
    num_vanished: int = 0
    vanished: tuple[str, ...] = ()
    num_if_changed: int = 0
    notices: Notices = field(default_factory=Notices)
    signed: SignedAddresses = field(default_factory=SignedAddresses, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan that the output does not know of yet: a look at it, or what a run begins with.

    Attributes:
        plan: what was found; its `manifest` is None.
    """

    plan: Plan
    _objects: Objects
    _rows: Path
    _work: str
    _seen: Mapping[str, str]

    def is_current(self) -> bool:
        """Whether nothing was committed to the output since."""
        return committed_tags(self._objects) == self._seen

    def publish(self) -> Plan:
        """Put the manifest, if anything is left to do; return the plan that names it."""
        if not self.plan.num_pending:
            return self.plan
        name = manifest.put_manifest(self._objects, self._rows, self._work)
        return replace(self.plan, manifest=self._objects.full_url(name))


def plan_labels(
    images: Iterable[ImageRef],
    out: str,
    recipe: Recipe,
    retry: frozenset[Outcome] = frozenset(),
    *,
    collection: str | None = None,
    noticed: Noticed | None = None,
) -> Plan:
    """Find what is left to do and put it into the output as a manifest; see `draft_plan`."""
    drafted = draft_plan(
        images, out, recipe, retry, collection=collection, noticed=noticed, keep_index=True
    )
    with drafted as draft:
        return draft.publish()


@dataclass(frozen=True, slots=True)
class _Listing:
    """Images as they come, and what is known of where they come from; see `draft_plan`."""

    images: Iterable[ImageRef]
    collection: str | None
    noticed: Noticed


@contextmanager
def draft_plan(
    images: Iterable[ImageRef],
    out: str,
    recipe: Recipe,
    retry: frozenset[Outcome] = frozenset(),
    *,
    collection: str | None = None,
    noticed: Noticed | None = None,
    keep_index: bool = False,
) -> Iterator[Draft]:
    """Find what is left to do, in a file of this machine that goes with the context.

    Every listed image is either committed or in exactly one planned shard. Images that are not
    committed are cut into shards in listing order; images committed with an outcome of `retry`,
    and images that changed since (unless `run.changed` says to keep their labels), are planned
    again within the shard they are committed in.

    Args:
        images: the listing; consumed once, in batches.
        collection: what it is the whole listing of, as `list_images` takes it; None if it is not
            whole: then nothing is said of images that vanished.
        noticed: what the listing tells of what it does not list.
        keep_index: write the index of fragments anew where it has missed many.

    Raises:
        ConfigError: two listed images have the same id.
    """
    objects = open_objects(out)
    with tempfile.TemporaryDirectory(prefix="redepth-manifest-") as folder:
        rows = Path(folder) / "manifest.parquet"
        committed = committed_images(objects, keep_index=keep_index)
        listing = _Listing(images, collection, noticed or Noticed())
        draft = _draft(objects, committed, listing, recipe, retry, rows)
        del committed  # a run lasts for hours
        yield draft


def _draft(
    objects: Objects,
    committed: CommittedImages,
    listing: _Listing,
    recipe: Recipe,
    retry: frozenset[Outcome],
    rows: Path,
) -> Draft:
    relabels = recipe.run.changed == "relabel"
    survey = _Survey(committed, index_once(committed.keys_n2, objects), retry, relabels)
    cut = _Cut(recipe.labels.digest(), recipe.run.sharding.images_per_shard)
    signed = SignedAddresses()
    planned = _planned_shards(survey, cut, signed.noting(listing.images))
    work = manifest.write_rows(rows, planned, listing.noticed)
    vanished = _vanished(objects, survey, listing)
    plan = Plan(
        manifest=None,
        num_listed=survey.num_listed,
        num_done=survey.num_listed - survey.num_pending,
        num_pending=survey.num_pending,
        num_shards=cut.num_shards,
        size_bytes=survey.size_bytes,
        outcomes=survey.outcomes,
        num_changed=survey.num_changed,
        num_if_changed=survey.num_if_changed,
        num_vanished=len(vanished),
        vanished=tuple(sorted(vanished)[:_VANISHED_NAMED]),
        notices=listing.noticed.notices(),
        signed=signed,
    )
    return Draft(plan, objects, rows, work, committed.tags)


class _Survey:
    """Sorts a listing into what is new, what is tried again and what is done; counts as it goes."""

    def __init__(
        self,
        committed: CommittedImages,
        index: KeyIndex,
        retry: frozenset[Outcome],
        relabels: bool,
    ) -> None:
        self.committed = committed
        self.num_listed = 0
        self.num_pending = 0
        self.num_changed = 0
        self.num_if_changed = 0
        self.size_bytes = 0
        self.is_listed = np.zeros(len(committed.keys_n2), np.bool_)
        self.outcomes = dict.fromkeys(Outcome, 0)
        self._index = index
        self._relabels = relabels
        self._retry = pa.array([OUTCOMES.index(outcome) for outcome in retry], pa.int8())
        self._again: list[pa.Table] = []
        self._half_keys = [np.empty(0, np.uint64)]

    def new(self, images: Iterable[ImageRef]) -> Iterator[pa.Table]:
        """Yield the images that are not committed, in listing order."""
        for batch in _batches(images):
            self.num_listed += len(batch)
            keys_n2 = keys_of(batch["id"])
            self._half_keys.append(keys_n2[:, 0].copy())
            position = self._index.positions(keys_n2)
            self._sort_committed(batch, position)
            yield self._counted(batch.filter(pc.is_null(position)))
        self._require_unique()

    def again(self) -> pa.Table:
        """Return the images to try again, in columns of `_AGAIN`; known once `new` has ended."""
        tables = [_AGAIN.empty_table(), *self._again]
        return pa.concat_tables(tables).sort_by("fragment")

    def _sort_committed(self, batch: pa.Table, position: pa.Array) -> None:
        known = batch.filter(pc.is_valid(position))
        position = position.drop_null()
        self.is_listed[position.to_numpy()] = True
        outcome = self.committed.outcomes.take(position)
        add_counts(self.outcomes, outcome)
        changed = pc.not_equal(fingerprints(known), self.committed.fingerprints.take(position))
        changed = pc.fill_null(changed, False)  # a listing that does not tell
        self.num_changed += pc.sum(changed).as_py() or 0
        retried = pc.is_in(outcome, value_set=self._retry)
        again = pc.or_(retried, changed) if self._relabels else retried
        # What has no label yet is simply tried again.
        if_changed = pc.and_not(pc.is_in(outcome, value_set=_WITH_LABEL), retried).filter(again)
        self.num_if_changed += pc.sum(if_changed).as_py() or 0
        fragment = self.committed.fragments.take(position.filter(again))
        images = self._counted(known.filter(again))
        columns = [*images.columns, fragment, if_changed]
        self._again.append(pa.Table.from_arrays(columns, schema=_AGAIN))

    def _counted(self, pending: pa.Table) -> pa.Table:
        self.num_pending += len(pending)
        self.size_bytes += pc.sum(pending["size_bytes"]).as_py() or 0
        return pending

    def _require_unique(self) -> None:
        # Sorted in place: np.unique takes a table of its own, and ten times as long.
        half_keys = np.concatenate(self._half_keys)
        half_keys.sort()
        num_twice = int(np.count_nonzero(np.diff(half_keys) == 0))
        if num_twice:
            raise ConfigError(
                f"{num_twice} of {self.num_listed} listed images have the id of another; every "
                "image needs an id of its own"
            )


class _Cut:
    """Cuts tables of pending images into shards and numbers them."""

    def __init__(self, recipe_digest: str, images_per_shard: int) -> None:
        self.num_shards = 0
        self._recipe_digest = recipe_digest
        self._images_per_shard = images_per_shard

    def new(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Cut new images into shards of the recipe's size, the last one smaller."""
        shards_per_table = max(1, manifest.ROWS_PER_GROUP // self._images_per_shard)
        for table in _in_lengths(tables, shards_per_table * self._images_per_shard):
            starts = range(0, len(table), self._images_per_shard)
            slices = [table["id"].slice(start, self._images_per_shard) for start in starts]
            shards = [layout.shard_id(self._recipe_digest, ids.to_pylist()) for ids in slices]
            new = pa.nulls(len(table), pa.bool_())
            yield self._numbered(table, shards, shards, [len(ids) for ids in slices], new)

    def again(self, images: pa.Table, committed: CommittedImages) -> pa.Table:
        """Give images that are tried again (sorted by `fragment`) to the shards they belong to."""
        counts = images["fragment"].value_counts()
        fragments, lengths = (counts.field(name).to_pylist() for name in ("values", "counts"))
        shards = [committed.shards[fragment] for fragment in fragments]
        groups = [
            layout.array_group(shard, committed.num_tries[fragment])
            for shard, fragment in zip(shards, fragments, strict=True)
        ]
        only_images = images.select(manifest.IMAGE_SCHEMA.names)
        return self._numbered(only_images, shards, groups, lengths, images["if_changed"])

    def _numbered(
        self,
        table: pa.Table,
        shards: list[str],
        groups: list[str],
        lengths: list[int],
        if_changed: pa.Array | pa.ChunkedArray,
    ) -> pa.Table:
        """Append what a manifest says of each image beside itself, each shard for so many rows."""
        row = pa.array([i for i, length in enumerate(lengths) for _ in range(length)], pa.int32())
        number = pc.add(row, pa.scalar(self.num_shards, pa.int32()))
        self.num_shards += len(shards)
        columns = [pa.array(shards, pa.string()).take(row), pa.array(groups, pa.string()).take(row)]
        columns += [number, if_changed, pa.nulls(len(table), pa.string())]
        return pa.Table.from_arrays([*table.columns, *columns], schema=manifest.SCHEMA)


def _vanished(objects: Objects, survey: _Survey, listing: _Listing) -> list[str]:
    """Name where the collection's committed images were that the listing has not named."""
    unlisted = survey.committed.keys_n2[~survey.is_listed]
    if listing.collection is None or not len(unlisted):
        return []
    is_of_collection, notices = could_list(listing.collection), listing.noticed.notices()
    return [
        uri
        for uri in committed_values(objects, unlisted, "uri")
        if is_of_collection(uri) and not notices.could_hold(uri)
    ]


def _planned_shards(survey: _Survey, cut: _Cut, images: Iterable[ImageRef]) -> Iterator[pa.Table]:
    yield from cut.new(survey.new(images))
    again = survey.again()
    if len(again):
        yield cut.again(again, survey.committed)


def _batches(images: Iterable[ImageRef]) -> Iterator[pa.Table]:
    remaining = iter(images)
    while True:
        values: list[list[object]] = [[] for _ in manifest.IMAGE_SCHEMA]
        # Few at a time: objects that outlive Python's young generations have it look through
        # everything there is, twenty times in a million of them, which takes a second.
        while len(values[0]) < _BATCH and (some := list(islice(remaining, _HELD_AT_ONCE))):
            columns = dict(zip(ImageRef._fields, zip(*some, strict=True), strict=True))
            for of_column, name in zip(values, manifest.IMAGE_SCHEMA.names, strict=True):
                of_column.extend(columns[name])
        if not values[0]:
            return
        yield pa.table(values, schema=manifest.IMAGE_SCHEMA)


def _in_lengths(tables: Iterable[pa.Table], length: int) -> Iterator[pa.Table]:
    """Cut a stream of tables anew into tables of `length` rows, the last one shorter."""
    held = manifest.IMAGE_SCHEMA.empty_table()
    for table in tables:
        held = pa.concat_tables([held, table])
        while len(held) >= length:
            yield held.slice(0, length)
            held = held.slice(length)
        held = held.combine_chunks()
    if len(held):
        yield held
