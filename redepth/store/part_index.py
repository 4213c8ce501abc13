"""An index of the label parts, so that a plan over a million committed images need not read each.

`index/parts.arrow` repeats what parts said when it was written: tries, and of each image the key of
its id, its outcome and its stamp (see `redepth.store.catalogue.stamps`). It is a copy and never the
truth. Of every part the listing gives a tag (ETag, or size, time and inode); what the index says of
a part with another tag, or of one that is gone, is left aside, and such parts are read themselves.
It may be removed at any time.

An Arrow file: keys and stamps do not pack, and its columns are used where they lie.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.ipc

from redepth.store.key_index import KEY_BYTES
from redepth.store.objects import Objects

NAME = "index/parts.arrow"
# Fewer are read in a second, and small outputs need no further object.
PARTS_WORTH_INDEXING = 1000
# A row a part.
SCHEMA = pa.schema(
    [
        pa.field("shard", pa.string()),
        pa.field("tag", pa.string()),
        pa.field("num_tries", pa.int16()),
        pa.field("keys", pa.list_(pa.binary(KEY_BYTES))),
        pa.field("outcomes", pa.list_(pa.int8())),
        pa.field("stamps", pa.list_(pa.int64())),
    ]
)


def read_index(objects: Objects, tags: Mapping[str, str]) -> pa.Table:
    """Return what the index says of the parts that still are as they were: rows of SCHEMA.

    Args:
        tags: by shard, of the parts that are there now.
    """
    try:
        table = pa.ipc.open_file(pa.BufferReader(objects.read(NAME))).read_all().cast(SCHEMA)
    except (FileNotFoundError, pa.ArrowException):  # none, or none that this software reads
        return SCHEMA.empty_table()
    said = zip(table["shard"].to_pylist(), table["tag"].to_pylist(), strict=True)
    is_same = [tags.get(shard) == tag for shard, tag in said]
    return table if all(is_same) else table.filter(pa.array(is_same))


def write_index(objects: Objects, rows: pa.Table) -> None:
    """Replace the index by rows of SCHEMA, but for those whose tag tells nothing."""
    with_tag = pa.array([bool(tag) for tag in rows["tag"].to_pylist()])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_table(rows.filter(with_tag))
    objects.put(NAME, sink.getvalue().to_pybytes())
