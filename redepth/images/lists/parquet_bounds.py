"""Parquet from outside, decoded only as far as its metadata says that it fits into memory.

A value that many rows share is stored once. It is kept so while it is read (`read_dictionary`):
written out for every row, a file of some kilobytes fills any memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from redepth.errors import ConfigError, ImageRejected
from redepth.images.lists.parquet_footer import StoredColumn, row_groups
from redepth.images.lists.rows import LONGEST_TEXT
from redepth.storage_errors import in_words

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_ROW_GROUP_BYTES = 2**30  # of the columns that are read, unpacked
IMAGE_FIELDS = ("bytes", "path")  # of a struct as Hugging Face writes it
_BYTES_PER_VALUE = 4
_ROWS_PER_BATCH = 2_000
_BUFFER_BYTES = 2**20  # without it a whole column of a row group is read at once


def bounded_rows(where: str, file: Any, columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of an open Parquet file, a batch in memory at a time.

    Args:
        where: the file's uri, for messages.
        columns: names of columns of numbers, of short texts or of lists of these texts, by what
            they are to be called. Texts come as bytes, of a list the first alone.

    Raises:
        ConfigError: a row group, or a text in it, is too large, or a column holds something else.
    """
    import pyarrow.parquet as pq

    schema = pq.ParquetFile(file).schema_arrow
    names = list(columns.values())
    if not set(names) <= set(schema.names):
        raise ConfigError(f"{where} was written anew while it was read: run again")
    for name in names:
        _require_simple(where, name, schema.field(name).type)
    leaves = _text_leaves(pq.ParquetFile(file), schema, names)
    reader = pq.ParquetFile(
        file, pre_buffer=False, buffer_size=_BUFFER_BYTES, read_dictionary=leaves
    )
    for group, stored in enumerate(row_groups(where, file)):
        num_bytes = _group_bytes(stored, names)
        if num_bytes > MAX_ROW_GROUP_BYTES:
            raise ConfigError(f"{where}: {_too_large(group, names, num_bytes)}")
        for batch in reader.iter_batches(
            _ROWS_PER_BATCH, row_groups=[group], columns=names, use_threads=False
        ):
            values = (_plain_values(where, name, batch[name]) for name in names)
            for record in zip(*values, strict=True):
                yield dict(zip(columns, record, strict=True))


def bounded_row_group(
    where: str, file: Any, column: str, group: int, stored: Iterable[StoredColumn]
) -> pa.ChunkedArray:
    """Read the images of one row group: a column of bytes, or of structs with `bytes` and `path`.

    Args:
        stored: the row group's columns, as its footer says.

    Raises:
        ImageRejected: they are too large to be held.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pq.ParquetFile(file).schema_arrow.field(column).type
    leaves = [column]
    if pa.types.is_struct(kind):
        leaves = [f"{column}.{field.name}" for field in kind if field.name in IMAGE_FIELDS]
    reader = pq.ParquetFile(file, read_dictionary=leaves)
    num_bytes = _group_bytes(stored, leaves)
    if num_bytes > MAX_ROW_GROUP_BYTES:
        raise ImageRejected(f"{where}: {_too_large(group, [column], num_bytes)}")
    return reader.read_row_group(group, columns=leaves)[column]


@contextmanager
def readable_parquet(uri: str) -> Iterator[None]:
    """Say of what pyarrow raises that the file is no readable Parquet.

    Raises:
        ConfigError: instead of pyarrow's own errors, an OSError without a number among them.
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise ConfigError(f"{uri} is not a readable Parquet file: {in_words(error)}") from error
    except OSError as error:
        if type(error) is not OSError or error.errno is not None:
            raise
        raise ConfigError(f"{uri} is not a readable Parquet file: {in_words(error)}") from error


def _group_bytes(columns: Iterable[StoredColumn], names: Sequence[str]) -> int:
    """Return the unpacked bytes of a row group's columns, or of leaves of them, as it states.

    A value takes some bytes in memory however little it takes in the file: a list of a hundred
    million nulls is some bytes there.
    """
    return sum(
        max(column.num_bytes, _BYTES_PER_VALUE * column.num_values)
        for column in columns
        if any(f"{column.path}.".startswith(f"{name}.") for name in names)
    )


def _too_large(group: int, names: Sequence[str], num_bytes: int) -> str:
    return (
        f"row group {group} has {num_bytes / 1e6:,.0f} MB in {', '.join(names)}, expected "
        f"{MAX_ROW_GROUP_BYTES / 1e6:,.0f} MB at most; write the file with fewer rows a group "
        "(row_group_size)"
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts or bytes, each stored once or not."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _require_simple(where: str, name: str, kind: pa.DataType) -> None:
    import pyarrow as pa

    types = pa.types
    plain = kind.value_type if types.is_dictionary(kind) else kind
    if is_text(plain) or (_is_list(kind) and is_text(kind.value_type)):
        return
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_null)
    if not any(test(plain) for test in tests):
        raise ConfigError(
            f"{where}: column {name!r} is {kind}, expected a text or a number; write it as one"
        )


def _text_leaves(reader: pq.ParquetFile, schema: pa.Schema, names: Sequence[str]) -> list[str]:
    """Name the stored columns of texts, those within lists too, as Parquet calls them."""
    nested = {name for name in names if _is_list(schema.field(name).type)}
    columns = (reader.schema.column(i).path for i in range(len(reader.schema)))
    texts = [name for name in names if is_text(schema.field(name).type)]
    return [*texts, *(path for path in columns if path.partition(".")[0] in nested)]


def _plain_values(where: str, name: str, column: pa.Array) -> list[Any]:
    """Return a batch's values for Python: numbers, texts as bytes, of a list the first alone."""
    import pyarrow.compute as pc

    if not _is_list(column.type):
        return list(_texts_as_bytes(where, name, column))
    firsts = pc.list_flatten(pc.list_slice(column, 0, 1))
    values = iter(_texts_as_bytes(where, name, firsts))
    lengths = pc.list_value_length(column).to_pylist()
    return [[next(values)] if length else None for length in lengths]


def _texts_as_bytes(where: str, name: str, column: pa.Array) -> list[Any]:
    import pyarrow as pa

    if not is_text(column.type):
        return list(column.to_pylist())
    is_shared = isinstance(column, pa.DictionaryArray)
    _require_short(where, name, column.dictionary if is_shared else column)
    values = column.dictionary_decode() if is_shared else column  # of a batch's rows alone
    return list(values.cast(pa.large_binary()).to_pylist())


def _require_short(where: str, name: str, values: pa.Array) -> None:
    import pyarrow.compute as pc

    longest = pc.max(pc.binary_length(values)).as_py() or 0
    if longest > LONGEST_TEXT:
        raise ConfigError(
            f"{where}: a text in column {name!r} has {longest:,} bytes, expected {LONGEST_TEXT:,} "
            "at most; shorten it"
        )
