"""An index of the fragments, so that a plan over a million committed images need not read each.

`index/fragments.arrow` repeats what fragments said when it was written: tries, and of each image
the key of its id, its outcome and its fingerprint (see `redepth.store.catalogue.fingerprints`). It
is a copy and never the truth. Of every fragment the listing gives a tag (ETag, or size, time and
inode); what the index says of a fragment with another tag, or of one that is gone, is ignored, and
such fragments are read themselves. It may be removed at any time.

An Arrow file: keys and fingerprints do not pack, and its columns are used where they lie.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from redepth.errors import IntegrityError
from redepth.store.key_index import KEY_BYTES
from redepth.store.objects import Objects
from redepth.types import Outcome

NAME = "index/fragments.arrow"
# Fewer are read in a second, and small outputs need no further object.
FRAGMENTS_WORTH_INDEXING = 1000
# How fingerprints are made: an index of other ones would hide what changed.
_MADE_AS = {b"redepth.index": b"2"}
# A row a fragment.
SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string()),
        pa.field("tag", pa.string()),
        pa.field("num_tries", pa.int16()),
        pa.field("keys", pa.list_(pa.binary(KEY_BYTES))),
        pa.field("outcomes", pa.list_(pa.int8())),
        pa.field("fingerprints", pa.list_(pa.int64())),
    ],
    metadata=_MADE_AS,
)


def read_index(objects: Objects, tags: Mapping[str, str]) -> pa.Table:
    """Return what the index says of the fragments that still are as they were: rows of SCHEMA.

    Args:
        tags: by shard, of the fragments that are there now.
    """
    try:
        content = objects.read(NAME)
    except (FileNotFoundError, IntegrityError):
        return SCHEMA.empty_table()
    try:
        table = pa.ipc.open_file(pa.BufferReader(content)).read_all()
        table.validate(full=True)  # Arrow follows offsets as they come
        if table.schema.metadata != _MADE_AS:
            return SCHEMA.empty_table()
        table = table.cast(SCHEMA)
    except (ValueError, OSError, MemoryError, pa.ArrowException):  # none that this software reads
        return SCHEMA.empty_table()
    if not _is_sound(table):
        return SCHEMA.empty_table()
    said = zip(table["shard"].to_pylist(), table["tag"].to_pylist(), strict=True)
    is_same = [tags.get(shard) == tag for shard, tag in said]
    return table if all(is_same) else table.filter(pa.array(is_same))


def _is_sound(table: pa.Table) -> bool:
    """Whether each fragment has a key, a known outcome and a fingerprint for every image."""
    lengths = [pc.list_value_length(table[name]) for name in ("keys", "outcomes", "fingerprints")]
    outcomes = pc.list_flatten(table["outcomes"])
    known = pc.and_(pc.greater_equal(outcomes, 0), pc.less(outcomes, len(Outcome)))
    has_all = not sum(column.null_count for column in (*table.columns, outcomes))
    return (
        has_all
        and lengths[0].equals(lengths[1])
        and lengths[0].equals(lengths[2])
        and bool(pc.all(known, min_count=0).as_py())
    )


def write_index(objects: Objects, rows: pa.Table) -> None:
    """Replace the index by rows of SCHEMA, but for those whose tag tells nothing."""
    with_tag = pa.array([bool(tag) for tag in rows["tag"].to_pylist()])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_table(rows.filter(with_tag))
    objects.put(NAME, sink.getvalue().to_pybytes())
