"""Reading what is committed: the label parts, and nothing that no part names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from redepth.errors import CommitConflict, IntegrityError
from redepth.store import layout, part_index
from redepth.store.id_index import IdIndex, id_hashes
from redepth.store.objects import Objects, open_objects
from redepth.store.rows import SCHEMA, Part, decode_part
from redepth.types import Outcome

OUTCOMES = tuple(Outcome)
_TABLES_HELD = 256
_ROWS_AT_ONCE = 65_536
_INDEXED = ("id", "outcome", "size_bytes", "version")
_OUTCOME_NAMES = pa.array([outcome.value for outcome in Outcome])


@dataclass(frozen=True, slots=True, eq=False)
class CommittedImages:
    """Every committed image, in columns.

    Attributes:
        ids: string [n]; parts sorted by shard, rows as they are stored.
        outcomes: int8 [n], positions in `OUTCOMES`.
        stamps: int64 [n], see `stamps`.
        parts: int32 [n], positions in `shards`.
        shards: the committed shards, sorted.
        num_tries: how many tries each of them has committed.
    """

    ids: pa.Array
    outcomes: pa.Array
    stamps: pa.Array
    parts: pa.Array
    shards: tuple[str, ...]
    num_tries: tuple[int, ...]


def part_names(objects: Objects) -> list[str]:
    """Name the committed label parts, sorted."""
    return objects.list(layout.LABELS, layout.PARQUET)


def read_part(objects: Objects, shard: str) -> Part | None:
    """Read one shard's label part, None if it is not committed."""
    try:
        return decode_part(shard, objects.read(layout.label_part(shard)))
    except FileNotFoundError:
        return None


def read_parts(objects: Objects, columns: Sequence[str] | None) -> Iterator[Part]:
    """Read some columns (None: all) of every label part, sorted by shard.

    Raises:
        CommitConflict: a part vanished meanwhile.
    """
    yield from _parts(objects, part_names(objects), columns)


def _parts(objects: Objects, names: Sequence[str], columns: Sequence[str] | None) -> Iterator[Part]:
    try:
        for name, content in objects.read_many(names):
            yield decode_part(PurePosixPath(name).stem, content, columns)
    except FileNotFoundError as error:
        raise CommitConflict(
            f"{objects.url}: a label part vanished while the labels were read ({error}); run again"
        ) from error


def committed_images(objects: Objects, *, keep_index: bool = False) -> CommittedImages:
    """Return ids and outcomes of every committed image, reading the parts that no index knows.

    Args:
        keep_index: write the index anew where it has missed many parts.
    """
    names = objects.list_tagged(layout.LABELS, layout.PARQUET)
    tags = {PurePosixPath(name).stem: tag for name, tag in names.items()}
    rows = part_index.read_index(objects, tags)
    indexed = set(rows["shard"].to_pylist())
    missed = [name for name in names if PurePosixPath(name).stem not in indexed]
    if missed:
        rows = pa.concat_tables([rows, _rows_of_parts(objects, missed, tags)]).sort_by("shard")
    if keep_index and len(missed) >= part_index.PARTS_WORTH_INDEXING:
        part_index.write_index(objects, rows)
    lengths = pc.list_value_length(rows["ids"]).to_numpy()
    flat = {n: rows[n].combine_chunks().flatten() for n in ("ids", "outcomes", "sizes", "versions")}
    return CommittedImages(
        flat["ids"],
        flat["outcomes"],
        stamps(pa.table({"size_bytes": flat["sizes"], "version": flat["versions"]})),
        pa.array(np.repeat(np.arange(len(rows), dtype=np.int32), lengths)),
        tuple(rows["shard"].to_pylist()),
        tuple(rows["num_tries"].to_pylist()),
    )


def _rows_of_parts(objects: Objects, names: Sequence[str], tags: Mapping[str, str]) -> pa.Table:
    """Read label parts as rows of the index."""
    ends, shards, num_tries = [0], [], []

    def tables() -> Iterator[pa.Table]:
        for part in _parts(objects, names, _INDEXED):
            ends.append(ends[-1] + len(part.table))
            shards.append(part.shard)
            num_tries.append(len(part.array_groups))
            yield part.table

    table = joined(tables(), _INDEXED)
    offsets = pa.array(ends, pa.int32())
    ids, outcomes = table["id"].combine_chunks(), _numbers(table["outcome"]).combine_chunks()
    columns = [
        pa.array(shards, pa.string()),
        pa.array([tags[shard] for shard in shards], pa.string()),
        pa.array(num_tries, pa.int16()),
        pa.ListArray.from_arrays(offsets, ids),
        pa.ListArray.from_arrays(offsets, outcomes),
        pa.ListArray.from_arrays(offsets, table["size_bytes"].combine_chunks()),
        pa.ListArray.from_arrays(offsets, table["version"].combine_chunks()),
    ]
    return pa.Table.from_arrays(columns, schema=part_index.SCHEMA)


def stamps(table: pa.Table) -> pa.Array:
    """Return int64 [n] of size and version, null where a listing does not tell both.

    Two images of one id and other stamps are two photographs; good within this process.
    """
    hashes, untold = [np.empty(0, np.int64)], [np.empty(0, np.bool_)]
    # Some at a time: the joined strings are longer than the ids.
    for some in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        sizes = pc.cast(some["size_bytes"], pa.string())
        told = pc.binary_join_element_wise(sizes, some["version"], "/")
        hashes.append(id_hashes(told))
        untold.append(pc.is_null(told).to_numpy(False))
    return pa.array(np.concatenate(hashes), mask=np.concatenate(untold))


def committed_uris(objects: Objects, ids: frozenset[str]) -> Iterator[str]:
    """Yield where the committed images of these ids were read."""
    for part in read_parts(objects, ("id", "uri")):
        for image_id, uri in zip(*(part.table[name].to_pylist() for name in ("id", "uri")),
                                 strict=True):  # fmt: skip
            if image_id in ids:
                yield uri


def joined(tables: Iterable[pa.Table], columns: Sequence[str]) -> pa.Table:
    """Concatenate the tables of many parts into one of few chunks.

    Joins as it goes: thousands of small buffers take several times the memory of what is in them.
    """
    blocks, held = [SCHEMA.empty_table().select(list(columns))], []
    for table in tables:
        held.append(table)
        if len(held) == _TABLES_HELD:
            blocks.append(pa.concat_tables(held).combine_chunks())
            held = []
    return pa.concat_tables([*blocks, *held]).combine_chunks()


def index_once(ids: pa.Array, url: str) -> IdIndex:
    """Index the ids of all committed images.

    Raises:
        IntegrityError: an image is committed in two shards.
    """
    index = IdIndex(ids)
    repeated = index.repeated()
    if repeated:
        raise IntegrityError(
            f"{url}: {len(repeated)} images are committed in two shards, first {repeated[:3]}: two "
            "runs worked on this output at once; remove one of the label parts that hold them"
        )
    return index


def count_outcomes(out: str) -> dict[Outcome, int]:
    """Count the committed images by outcome; outcomes that no image has are there with 0."""
    counts = dict.fromkeys(Outcome, 0)
    for part in read_parts(open_objects(out), ("outcome",)):
        add_counts(counts, _numbers(part.table["outcome"]))
    return counts


def mean_seconds(out: str) -> tuple[float | None, int]:
    """Return the mean seconds of the images that have a label, and how many they are."""
    with_label = pa.array([outcome.value for outcome in Outcome if outcome.has_label])
    total, number = 0.0, 0
    for part in read_parts(open_objects(out), ("outcome", "seconds")):
        seconds = part.table["seconds"].filter(pc.is_in(part.table["outcome"], with_label))
        total += pc.sum(seconds).as_py() or 0.0
        number += len(seconds) - seconds.null_count
    return (total / number if number else None), number


def add_counts(counts: dict[Outcome, int], outcomes: pa.Array | pa.ChunkedArray) -> None:
    """Add outcomes, given as positions in `Outcome`, to counts of them."""
    for line in outcomes.value_counts().to_pylist():
        counts[OUTCOMES[line["values"]]] += line["counts"]


def _numbers(names: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.index_in(names, _OUTCOME_NAMES).cast(pa.int8())
