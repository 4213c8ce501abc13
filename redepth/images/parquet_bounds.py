"""Parquet from outside, decoded only as far as its metadata says that it fits into memory.

A value that many rows share is stored once. It is kept so while it is read (`read_dictionary`):
written out for every row, a file of some kilobytes fills any memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from redepth.errors import ConfigError, ImageRejected

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_ROW_GROUP_BYTES = 2**30  # of the columns that are read, unpacked
LONGEST_TEXT = 2**14  # of a caption, an id or a uri: more is no caption
_ROWS_PER_BATCH = 2_000
_BUFFER_BYTES = 2**20  # without it a whole column of a row group is read at once


def bounded_rows(where: str, file: Any, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of an open Parquet file, a batch in memory at a time.

    Args:
        where: the file's uri, for messages.
        names: columns of numbers or short texts.

    Raises:
        ConfigError: a row group, or a text in it, is too large, or a column holds something else.
    """
    import pyarrow.parquet as pq

    schema = pq.ParquetFile(file).schema_arrow
    texts = [name for name in names if _is_text(schema.field(name).type)]
    for name in names:
        _require_simple(where, name, schema.field(name).type)
    reader = pq.ParquetFile(
        file, pre_buffer=False, buffer_size=_BUFFER_BYTES, read_dictionary=texts
    )
    for group in range(reader.metadata.num_row_groups):
        num_bytes = _group_bytes(reader, group, names)
        if num_bytes > MAX_ROW_GROUP_BYTES:
            raise ConfigError(f"{where}: {_too_large(group, names, num_bytes)}")
        for batch in reader.iter_batches(
            _ROWS_PER_BATCH, row_groups=[group], columns=list(names), use_threads=False
        ):
            for name in texts:
                _require_short(where, name, batch[name])
            yield from batch.to_pylist()


def bounded_row_group(where: str, file: Any, column: str, group: int) -> pa.ChunkedArray:
    """Read the images of one row group: a column of bytes, or of structs with `bytes`.

    Raises:
        ImageRejected: they are too large to be held.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pq.ParquetFile(file).schema_arrow.field(column).type
    leaf = f"{column}.bytes" if pa.types.is_struct(kind) else column
    reader = pq.ParquetFile(file, read_dictionary=[leaf])
    num_bytes = _group_bytes(reader, group, [leaf])
    if num_bytes > MAX_ROW_GROUP_BYTES:
        raise ImageRejected(f"{where}: {_too_large(group, [column], num_bytes)}")
    return reader.read_row_group(group, columns=[leaf])[column]


def _group_bytes(reader: pq.ParquetFile, group: int, names: Sequence[str]) -> int:
    """Return the unpacked bytes of a row group's columns, or of leaves of them, as it states."""
    row_group = reader.metadata.row_group(group)
    columns = (row_group.column(i) for i in range(row_group.num_columns))
    return sum(
        column.total_uncompressed_size
        for column in columns
        if any(f"{column.path_in_schema}.".startswith(f"{name}.") for name in names)
    )


def _too_large(group: int, names: Sequence[str], num_bytes: int) -> str:
    return (
        f"row group {group} has {num_bytes / 1e6:,.0f} MB in {', '.join(names)}, expected "
        f"{MAX_ROW_GROUP_BYTES / 1e6:,.0f} MB at most; write the file with fewer rows a group "
        "(row_group_size)"
    )


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def _require_simple(where: str, name: str, kind: pa.DataType) -> None:
    import pyarrow as pa

    if not _is_text(kind) and (kind.num_fields or not pa.types.is_primitive(kind)):
        if pa.types.is_null(kind):
            return
        raise ConfigError(
            f"{where}: column {name!r} is {kind}, expected a text or a number; write it as one"
        )


def _require_short(where: str, name: str, column: pa.DictionaryArray | pa.Array) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = column.dictionary if isinstance(column, pa.DictionaryArray) else column
    longest = pc.max(pc.binary_length(values)).as_py() or 0
    if longest > LONGEST_TEXT:
        raise ConfigError(
            f"{where}: a text in column {name!r} has {longest:,} bytes, expected {LONGEST_TEXT:,} "
            "at most; shorten it"
        )
