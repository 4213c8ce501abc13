"""Reading what is committed: the fragments, and nothing that no fragment names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from redepth.costing.stages import StageSeconds
from redepth.errors import CommitConflict, ConfigError, IntegrityError
from redepth.redaction import shown
from redepth.store import fragment_index, layout
from redepth.store.key_index import KEY_BYTES, KeyIndex, Keys, keys_of
from redepth.store.objects import Objects, open_objects
from redepth.store.rows import MAX_BYTES, SCHEMA, Fragment, decode_fragment
from redepth.types import Outcome

OUTCOMES = tuple(Outcome)
STAGE_COLUMNS = ("seconds", "read_seconds", "waited_seconds", "model_seconds")
_TABLES_HELD = 256
_INDEXED = ("id", "outcome", "size_bytes", "version")
_DIGESTED = pa.schema(
    [
        pa.field("key", pa.binary(KEY_BYTES)),
        pa.field("outcome", pa.int8()),
        pa.field("fingerprint", pa.int64()),
    ]
)
_OUTCOME_NAMES = pa.array([outcome.value for outcome in Outcome])


@dataclass(frozen=True, slots=True, eq=False)
class CommittedImages:
    """Every committed image, in columns.

    Attributes:
        keys_n2: uint64 [n, 2], of the ids; fragments sorted by shard, rows as they are stored.
        outcomes: int8 [n], positions in `OUTCOMES`.
        fingerprints: int64 [n], see `fingerprints`.
        fragments: int32 [n], positions in `shards`.
        shards: the committed shards, sorted.
        num_tries: how many tries each of them has committed.
        tags: of the fragments that all this was read from; see `committed_tags`.
    """

    keys_n2: Keys
    outcomes: pa.Array
    fingerprints: pa.Array
    fragments: pa.Array
    shards: tuple[str, ...]
    num_tries: tuple[int, ...]
    tags: Mapping[str, str]


def committed_tags(objects: Objects) -> dict[str, str]:
    """Return a tag of each fragment, which changes when the fragment does.

    Raises:
        ConfigError: as `fragment_names`.
    """
    tags = objects.list_tagged(layout.LABELS, layout.PARQUET)
    _require_listing(objects, tags)
    return {name: tag for name, tag in tags.items() if layout.shard_of(name)}


def fragment_names(objects: Objects) -> list[str]:
    """Name the committed fragments, sorted; names that no redepth writes are passed over.

    Raises:
        ConfigError: the storage cannot list what it holds.
    """
    names = objects.list(layout.LABELS, layout.PARQUET)
    _require_listing(objects, names)
    return [name for name in names if layout.shard_of(name)]


def ignored_names(objects: Objects) -> list[str]:
    """Name what lies among the fragments and is none: of a file browser, of a sync tool, ..."""
    names = objects.list_all(layout.LABELS)
    is_ours = (layout.shard_of(name) or layout.is_temporary(name) for name in names)
    return [name for name, ours in zip(names, is_ours, strict=True) if not ours]


def _require_listing(objects: Objects, found: Collection[str]) -> None:
    """Refuse to take for empty what only cannot be listed: then dataset.json is not named either.

    Raises:
        ConfigError: says so, and what to do.
    """
    if found or layout.DATASET in objects.list_all("") or not objects.exists(layout.DATASET):
        return
    raise ConfigError(
        f"{shown(objects.url)}: there is a {layout.DATASET}, but a listing of the folder does not "
        "name it: this storage or server cannot list what it holds, and labels are found by "
        "listing. Copy the labels' folder to a disk or a bucket, or have the server list folders"
    )


def read_fragment(objects: Objects, shard: str) -> Fragment | None:
    """Read one shard's fragment, None if it is not committed."""
    try:
        return decode_fragment(shard, objects.read(layout.fragment_name(shard), MAX_BYTES))
    except FileNotFoundError:
        return None


def read_fragments(
    objects: Objects, columns: Sequence[str] | None, shards: Iterable[str] | None = None
) -> Iterator[Fragment]:
    """Read some columns (None: all) of every fragment, sorted by shard.

    Args:
        shards: read those of these alone, as far as they are committed.

    Raises:
        CommitConflict: a fragment vanished meanwhile.
    """
    names = fragment_names(objects)
    if shards is not None:
        wanted = set(map(layout.fragment_name, shards))
        names = [name for name in names if name in wanted]
    yield from _fragments(objects, names, columns)


def _fragments(
    objects: Objects, names: Sequence[str], columns: Sequence[str] | None
) -> Iterator[Fragment]:
    try:
        for name, content in objects.read_many(names, MAX_BYTES):
            yield decode_fragment(PurePosixPath(name).stem, content, columns)
    except FileNotFoundError as error:
        raise CommitConflict(
            f"{objects.url}: a fragment vanished while the labels were read ({error}); run again"
        ) from error


def committed_images(objects: Objects, *, keep_index: bool = False) -> CommittedImages:
    """Return keys and outcomes of every committed image, reading the fragments that no index knows.

    Args:
        keep_index: write the index anew where it has missed many fragments.
    """
    names = committed_tags(objects)
    tags = {PurePosixPath(name).stem: tag for name, tag in names.items()}
    rows = fragment_index.read_index(objects, tags)
    indexed = set(rows["shard"].to_pylist())
    missed = [name for name in names if PurePosixPath(name).stem not in indexed]
    if missed:
        rows = pa.concat_tables([rows, _rows_of_fragments(objects, missed, tags)]).sort_by("shard")
    if keep_index and len(missed) >= fragment_index.FRAGMENTS_WORTH_INDEXING:
        fragment_index.write_index(objects, rows)
    lengths = pc.list_value_length(rows["keys"]).to_numpy()
    keys, outcomes, fingerprints = (
        _whole(rows[name]).flatten() for name in ("keys", "outcomes", "fingerprints")
    )
    return CommittedImages(
        _as_keys(keys),
        outcomes,
        fingerprints,
        pa.array(np.repeat(np.arange(len(rows), dtype=np.int32), lengths)),
        tuple(rows["shard"].to_pylist()),
        tuple(rows["num_tries"].to_pylist()),
        names,
    )


def _rows_of_fragments(objects: Objects, names: Sequence[str], tags: Mapping[str, str]) -> pa.Table:
    """Read fragments as rows of the index."""
    ends, shards, num_tries = [0], [], []

    def tables() -> Iterator[pa.Table]:
        for fragment in _fragments(objects, names, _INDEXED):
            ends.append(ends[-1] + len(fragment.table))
            shards.append(fragment.shard)
            num_tries.append(len(fragment.array_groups))
            yield fragment.table

    # The ids are let go block by block.
    digested = [_digested(block) for block in _blocks(tables())]
    images = pa.concat_tables([_DIGESTED.empty_table(), *digested]).combine_chunks()
    offsets = pa.array(ends, pa.int32())
    columns = [
        pa.array(shards, pa.string()),
        pa.array([tags[shard] for shard in shards], pa.string()),
        pa.array(num_tries, pa.int16()),
        *(pa.ListArray.from_arrays(offsets, column.combine_chunks()) for column in images.columns),
    ]
    return pa.Table.from_arrays(columns, schema=fragment_index.SCHEMA)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array: where it is one, without a copy."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _digested(table: pa.Table) -> pa.Table:
    keys = pa.py_buffer(keys_of(table["id"]).tobytes())
    key = pa.FixedSizeBinaryArray.from_buffers(pa.binary(KEY_BYTES), len(table), [None, keys])
    return pa.table([key, _numbers(table["outcome"]), fingerprints(table)], schema=_DIGESTED)


def _as_keys(column: pa.FixedSizeBinaryArray) -> Keys:
    _, values = column.buffers()
    start = column.offset * KEY_BYTES
    stored = memoryview(values or b"")[start : start + len(column) * KEY_BYTES]
    return np.frombuffer(stored, np.uint64).reshape(-1, 2)


def fingerprints(table: pa.Table) -> pa.Array:
    """Return int64 [n] of size and version, null where a listing does not tell the version.

    The size may be missing: of an image in a Parquet file nobody knows it before it is read. Two
    images of one id and other fingerprints may be two photographs; their bytes tell.
    """
    sizes = pc.fill_null(pc.cast(table["size_bytes"], pa.string()), "")
    told = pc.binary_join_element_wise(sizes, table["version"], "/")
    half_keys = keys_of(pc.fill_null(told, ""))[:, 0].view(np.int64)
    return pa.array(half_keys, mask=pc.is_null(told).to_numpy())


def committed_values(objects: Objects, keys_n2: Keys, column: str) -> Iterator[str]:
    """Yield a column's values of the committed images of these keys."""
    wanted = KeyIndex(keys_n2)
    for fragment in read_fragments(objects, sorted({"id", column})):
        is_wanted = pc.is_valid(wanted.positions(keys_of(fragment.table["id"])))
        yield from fragment.table[column].filter(is_wanted).to_pylist()


def joined(tables: Iterable[pa.Table], columns: Sequence[str]) -> pa.Table:
    """Concatenate the tables of many fragments into one of few chunks."""
    nothing = SCHEMA.empty_table().select(list(columns))
    return pa.concat_tables([nothing, *_blocks(tables)]).combine_chunks()


def _blocks(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join some at a time: thousands of small buffers take several times what is in them."""
    remaining = iter(tables)
    while some := list(islice(remaining, _TABLES_HELD)):
        yield pa.concat_tables(some).combine_chunks()


def index_once(keys_n2: Keys, objects: Objects) -> KeyIndex:
    """Index the keys of all committed images.

    Raises:
        IntegrityError: an image is committed in two shards.
    """
    index = KeyIndex(keys_n2)
    repeated = index.repeated()
    if len(repeated):
        ids = sorted(set(committed_values(objects, repeated, "id")))
        raise IntegrityError(
            f"{objects.url}: {len(repeated)} images are committed in two shards, first {ids[:3]}: "
            "two runs worked on this output at once; remove one of the fragments that hold them"
        )
    return index


def count_outcomes(out: str) -> dict[Outcome, int]:
    """Count the committed images by outcome; outcomes that no image has are there with 0."""
    counts = dict.fromkeys(Outcome, 0)
    for fragment in read_fragments(open_objects(out), ("outcome",)):
        add_counts(counts, _numbers(fragment.table["outcome"]))
    return counts


def count_methods(out: str) -> dict[str, int]:
    """Count the labels by `refined_by`, the most frequent first; empty of a recipe with one."""
    counts: Counter[str] = Counter()
    for fragment in read_fragments(open_objects(out), ("refined_by",)):
        counts += methods_of(fragment.table)
    return dict(counts.most_common())


def methods_of(table: pa.Table) -> Counter[str]:
    """Count a table's rows by `refined_by`, without those that have none."""
    lines = table["refined_by"].drop_null().value_counts().to_pylist()
    return Counter({line["values"]: line["counts"] for line in lines})


def stage_seconds(out: str) -> StageSeconds:
    """Return the seconds of the images that have a label, summed by stage."""
    fragments = read_fragments(open_objects(out), ("outcome", *STAGE_COLUMNS))
    return sum((stages_of(fragment.table) for fragment in fragments), StageSeconds())


def stages_of(table: pa.Table) -> StageSeconds:
    """Sum the seconds of a table's images that have a label; it has `outcome`, `STAGE_COLUMNS`."""
    with_label = pa.array([outcome.value for outcome in Outcome if outcome.has_label])
    table = table.filter(pc.is_in(table["outcome"], with_label))
    is_staged = pc.or_(pc.is_valid(table["read_seconds"]), pc.is_valid(table["model_seconds"]))
    staged, whole = table.filter(is_staged), table.filter(pc.invert(is_staged))
    own, read, waited, model = (_sum(staged[name]) for name in STAGE_COLUMNS)
    seconds = whole["seconds"].drop_null()
    return StageSeconds(len(staged), own, read, waited, model, len(seconds), _sum(seconds))


def _sum(values: pa.ChunkedArray) -> float:
    return float(pc.sum(values).as_py() or 0.0)


def add_counts(counts: dict[Outcome, int], outcomes: pa.Array | pa.ChunkedArray) -> None:
    """Add outcomes, given as positions in `Outcome`, to counts of them."""
    for line in outcomes.value_counts().to_pylist():
        counts[OUTCOMES[line["values"]]] += line["counts"]


def _numbers(names: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.index_in(names, _OUTCOME_NAMES).cast(pa.int8())
