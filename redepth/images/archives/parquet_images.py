"""Photographs inside Parquet files: listed by the columns beside them, read later, row by row.

A column holds them that is of bytes, or of structs with `bytes` and `path` as Hugging Face writes
them. `parquet://COLUMN/ROW::FILE` is read with its row group, the last of which is kept: images of
a file follow each other. Where a struct's bytes are null its path is read, relative to the Parquet
file's folder; it may come from a stranger and is judged as what a list names.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from redepth.errors import ConfigError, ImageRejected
from redepth.images.allowed import Allowed
from redepth.images.archives.shared_cache import shared_cache
from redepth.images.lists.parquet_bounds import (
    bounded_row_group,
    bounded_rows,
    is_text,
    readable_parquet,
)
from redepth.images.lists.parquet_footer import StoredColumn, row_groups
from redepth.images.lists.rows import Row, fields_of, row_of
from redepth.images.opening import Host, open_source
from redepth.images.reading import open_regular
from redepth.images.uris import canonical_uri, image_id, is_local, parent_uri
from redepth.redaction import shown
from redepth.types import ImageRef

if TYPE_CHECKING:
    import pyarrow as pa

_PROTOCOL = "parquet://"
_USUAL_NAME = "image"


def holds_images(uri: str) -> bool:
    """Whether a Parquet file has no column `uri`, and one of photographs.

    Raises:
        ConfigError: it is not readable.
    """
    schema = _described(uri, None).schema
    return "uri" not in fields_of(uri, schema.names) and any(
        _is_image(field.type) or _is_several(field.type) for field in schema
    )


def parquet_images(uri: str, version: str | None) -> Iterator[ImageRef]:
    """Yield the images of a Parquet file, with id, caption and camera.

    Raises:
        ConfigError: several columns could hold them, and none is called `image`; or a row says
            what cannot be.
    """
    file = _described(uri, None)
    column = _image_column(uri, file.schema)
    for row in _rows(uri, column, file):
        yield ImageRef(
            row.id or image_id(row.uri),
            row.uri,
            None,
            version,
            row.caption,
            focal_px=row.focal_px,
            fov_deg=row.fov_deg,
        )


def is_in_parquet(uri: str) -> bool:
    """Whether the uri is one that `parquet_images` made."""
    return uri.startswith(_PROTOCOL)


@dataclass(frozen=True, slots=True)
class NamedFile:
    """The file that a row names instead of holding its bytes, and what it may be."""

    uri: str
    allowed: Allowed


def read_from_parquet(uri: str, allowed: Allowed) -> bytes | NamedFile:
    """Read one image by the uri that `parquet_images` gave it.

    Returns:
        Its bytes, or the file that its row names instead.

    Raises:
        FileNotFoundError: its row is not there any more.
        ImageRejected: its row group is damaged, or too large to be read.
    """
    try:
        return _read(uri, allowed)
    except ConfigError as error:
        raise ImageRejected(str(error)) from error


def _read(uri: str, allowed: Allowed) -> bytes | NamedFile:
    place, _, container = uri.removeprefix(_PROTOCOL).partition("::")
    column, _, number = place.rpartition("/")
    hosts = allowed.hosts_for(uri)
    if is_local(container):
        container = allowed.real_path(container)
    file = _parquet_file(container, hosts)
    row = int(number)
    if not 0 <= row < file.first_rows[-1] or column not in file.schema.names:
        raise FileNotFoundError(f"{container} has no row {row} of {column} any more")
    group = bisect_right(file.first_rows, row) - 1
    value = _row_group(container, hosts, column, group)[row - file.first_rows[group]].as_py()
    if not isinstance(value, dict):
        return bytes(value or b"")
    if value.get("bytes") or not value.get("path"):
        return bytes(value.get("bytes") or b"")
    return _named(uri, container, value["path"], allowed)


def _named(uri: str, container: str, path: str, allowed: Allowed) -> NamedFile:
    row = row_of(f"{shown(uri)}, path", {"uri": path})
    found = canonical_uri(row.uri, parent_uri(canonical_uri(container)))
    if is_in_parquet(found):
        raise ImageRejected(f"{shown(uri)}: its row has no bytes, and names a Parquet file's row")
    return NamedFile(found, allowed.as_of(container))


def _rows(uri: str, column: str, file: _ParquetFile) -> Iterator[Row]:
    where = uri if "://" in uri else f"file://{uri}"
    for number, record in enumerate(_records(uri, file)):
        own = f"{_PROTOCOL}{column}/{number}::{where}"
        yield row_of(f"{uri}, row {number + 1}", record, own)


def _records(uri: str, file: _ParquetFile) -> Iterator[dict[str, Any]]:
    """Yield what else each row says (`id`, `caption`, ...), as far as the file has it."""
    names = file.schema.names
    columns = {field: names[i] for field, i in fields_of(uri, names).items()}
    if not columns:
        yield from ({} for _ in range(file.first_rows[-1]))
        return
    filesystem, path = open_source(uri)
    with readable_parquet(uri), filesystem.open(path, "rb") as opened:
        yield from bounded_rows(uri, opened, columns)


@dataclass(frozen=True, slots=True)
class _ParquetFile:
    """A file's schema, and the number of each row group's first row; the last is that of all."""

    schema: pa.Schema
    first_rows: tuple[int, ...]


@shared_cache(maxsize=8)
def _parquet_file(uri: str, hosts: frozenset[Host] | None) -> _ParquetFile:
    """Describe a file whose images are read; one that is listed may have been written anew."""
    return _described(uri, hosts)


@shared_cache(maxsize=8)
def _stored_columns(uri: str, hosts: frozenset[Host] | None) -> Sequence[Sequence[StoredColumn]]:
    with _opened(uri, hosts) as opened:
        return row_groups(uri, opened)


def _described(uri: str, hosts: frozenset[Host] | None) -> _ParquetFile:
    import pyarrow.parquet as pq

    with readable_parquet(uri), _opened(uri, hosts) as opened:
        file = pq.ParquetFile(opened)
        metadata = file.metadata
        counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        return _ParquetFile(file.schema_arrow, tuple(accumulate(counts, initial=0)))


@shared_cache(maxsize=2)
def _row_group(
    uri: str, hosts: frozenset[Host] | None, column: str, number: int
) -> pa.ChunkedArray:
    with readable_parquet(uri), _opened(uri, hosts) as opened:
        stored = _stored_columns(uri, hosts)[number]
        return bounded_row_group(uri, opened, column, number, stored)


def _opened(uri: str, hosts: frozenset[Host] | None) -> Any:
    if is_local(uri):
        return open_regular(uri.removeprefix("file://"))
    filesystem, path = open_source(uri, hosts)
    return filesystem.open(path, "rb")


def _is_image(kind: pa.DataType) -> bool:
    """Whether a column is of bytes, or of structs with `bytes` as Hugging Face writes them."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return _is_image(kind.value_type)
    if not types.is_struct(kind):
        return bool(types.is_binary(kind) or types.is_large_binary(kind))
    fields = {field.name: field.type for field in kind}
    if "bytes" not in fields:
        return False
    # A file all of whose images are named has nothing but nulls there.
    is_named = types.is_null(fields["bytes"]) and is_text(fields.get("path", pa.null()))
    return is_named or _is_image(fields["bytes"])


def _is_several(kind: pa.DataType) -> bool:
    import pyarrow as pa

    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(is_list and _is_image(kind.value_type))


def _image_column(uri: str, schema: pa.Schema) -> str:
    columns = [field.name for field in schema if _is_image(field.type)]
    several = [field.name for field in schema if _is_several(field.type)]
    usual = [name for name in (*columns, *several) if name.strip().casefold() == _USUAL_NAME]
    column = next((names[0] for names in (usual, columns) if len(names) == 1), "")
    column = column or ("" if columns else several[0])
    if column in several:
        raise ConfigError(
            f"{uri}: the column {column!r} holds several photographs a row, expected one; write a "
            f"row for each (in pandas: table.explode({column!r}))"
        )
    if not column or schema.names.count(column) > 1:
        raise ConfigError(
            f"{uri}: which column holds the photographs? Those of bytes are {columns}; call one "
            "`image`"
        )
    return str(column)
