"""Photographs inside tars (WebDataset's shards too) and Parquet files, read without unpacking.

Containers are listed one after another, their images streamed: of a tar the headers alone, of a
Parquet file the columns `id`, `caption`, `focal_px` and `fov_deg` alone. The image is read later,
by whoever labels it:

- `tar://NAME::CONTAINER` by the range of bytes that the listing has noted (one request); without
  that, see `archives`, which knows the same names;
- `parquet://COLUMN/ROW::CONTAINER` with its row group, the last of which is kept: images of a shard
  follow each other.
"""

from __future__ import annotations

import tarfile
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, groupby
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from redepth.errors import ConfigError, ImageRejected
from redepth.images.allowed import Allowed
from redepth.images.archives import open_tar, tar_members
from redepth.images.list_files import camera_of
from redepth.images.opening import Host, open_source
from redepth.images.parquet_bounds import LONGEST_TEXT, bounded_row_group, bounded_rows
from redepth.images.reading import open_regular
from redepth.images.uris import image_id, is_local
from redepth.types import ImageRef

if TYPE_CHECKING:
    import pyarrow as pa

TAR = ".tar"
PARQUET = ".parquet"
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_PARQUET_PROTOCOL = "parquet://"
# Between two headers lies an image: more would only be read in vain.
_READ_AHEAD_BYTES = 64 * 1024
_COLUMNS = ("id", "caption", "focal_px", "fov_deg")


def is_tar(uri: str) -> bool:
    """Whether the name is that of a tar.

    Raises:
        ConfigError: of a compressed one, of which no part can be read alone.
    """
    name = uri.partition("::")[0].lower()
    if name.endswith(_COMPRESSED):
        raise ConfigError(
            f"{uri}: images inside a compressed tar cannot be read one by one; pack it without "
            "compression (photographs are compressed already)"
        )
    return name.endswith(TAR)


def tar_images(uri: str, version: str | None, keeps: Any) -> Iterator[ImageRef]:
    """Yield the images of a tar, reading its headers; a `.txt` of the same name is the caption.

    Args:
        keeps: tells by a member's name whether it is an image.

    Raises:
        ConfigError: it is no tar, or damaged.
    """
    filesystem, path = open_source(uri)
    try:
        with (
            filesystem.open(path, "rb", block_size=_READ_AHEAD_BYTES) as file,
            open_tar(file) as tar,
        ):
            for _, sample in groupby(tar_members(tar), key=lambda member: _key(member.name)):
                yield from _tar_sample(tar, list(sample), uri, version, keeps)
    except (tarfile.TarError, ValueError, IndexError) as error:  # the last two of PAX records
        raise ConfigError(f"{uri} is not a readable tar: {error}") from error


def _key(name: str) -> str:
    """Return what the files of a sample have in common: the path up to the name's first dot."""
    path = PurePosixPath(name)
    return str(path.with_name(path.name.partition(".")[0] or path.name))


def _tar_sample(
    tar: tarfile.TarFile,
    members: list[tarfile.TarInfo],
    uri: str,
    version: str | None,
    keeps: Any,
) -> Iterator[ImageRef]:
    images = [member for member in members if keeps(member.name)]
    texts = [member for member in members if member.name.endswith(".txt")]
    caption = _text(uri, tar, texts[0]) if images and texts else None
    for member in images:
        own = f"tar://{member.name}::{uri if '://' in uri else 'file://' + uri}"
        yield ImageRef(
            image_id(own), own, member.size, version, caption, offset_bytes=member.offset_data
        )


def _text(uri: str, tar: tarfile.TarFile, member: tarfile.TarInfo) -> str | None:
    """Return a caption; of a sparse member the size does not say what is stored."""
    if member.size > LONGEST_TEXT or member.issparse():
        raise ConfigError(
            f"{uri}: the caption {member.name} has {member.size:,} bytes, expected a text of "
            f"{LONGEST_TEXT:,} at most, not sparse; pack the tar again without it"
        )
    file = tar.extractfile(member)
    return None if file is None else file.read().decode("utf-8", "replace").strip() or None


def read_range(ref: ImageRef, allowed: Allowed) -> bytes:
    """Read an image whose place in its tar the listing has noted.

    Raises:
        ImageRejected: the tar ends before it does.
    """
    tar = ref.uri.partition("::")[2]
    first, size = ref.offset_bytes or 0, ref.size_bytes or 0
    if is_local(tar):
        with open_regular(allowed.real_path(tar)) as file:
            file.seek(first)
            content = file.read(size)
    else:
        filesystem, path = open_source(tar, allowed.hosts_for(tar))
        content = bytes(filesystem.cat_file(path, start=first, end=first + size)) if size else b""
    if len(content) != size:
        raise ImageRejected(
            f"{ref.uri} is not as it was listed: {len(content):,} of its {size:,} bytes are there; "
            "run again once its tar is whole"
        )
    return content


def holds_images(uri: str) -> bool:
    """Whether a Parquet file has no column `uri`, and one of bytes."""
    file = _parquet_file(uri, None)
    return "uri" not in file.schema.names and bool(_bytes_columns(file.schema))


def parquet_images(uri: str, version: str | None) -> Iterator[ImageRef]:
    """Yield the images in a Parquet file's column of bytes, with id, caption and camera.

    Raises:
        ConfigError: several columns could be it, and none is called `image`.
    """

    column = _image_column(uri, _parquet_file(uri, None).schema)
    where = uri if "://" in uri else f"file://{uri}"
    for row, values in enumerate(_named_rows(uri)):
        own = f"{_PARQUET_PROTOCOL}{column}/{row}::{where}"
        own_id, caption = values.get("id"), values.get("caption") or None
        focal_px, fov_deg = camera_of(f"{uri}, row {row + 1}", values)
        yield ImageRef(
            image_id(own) if own_id is None else str(own_id),
            own,
            None,
            version,
            caption,
            focal_px=focal_px,
            fov_deg=fov_deg,
        )


def _named_rows(uri: str) -> Iterator[dict[str, Any]]:
    """Yield what else each row says (`id`, `caption`, ...), as far as the file has it."""
    file = _parquet_file(uri, None)
    names = [name for name in _COLUMNS if name in file.schema.names]
    if not names:
        yield from ({} for _ in range(file.first_rows[-1]))
        return
    filesystem, path = open_source(uri)
    with filesystem.open(path, "rb") as opened:
        yield from bounded_rows(uri, opened, names)


def is_in_parquet(uri: str) -> bool:
    """Whether the uri is one that `parquet_images` made."""
    return uri.startswith(_PARQUET_PROTOCOL)


def read_from_parquet(uri: str, allowed: Allowed) -> bytes:
    """Read one image by the uri that `parquet_images` gave it.

    Raises:
        FileNotFoundError: its row is not there any more.
        ImageRejected: its row group is too large to be read.
    """
    place, _, container = uri.removeprefix(_PARQUET_PROTOCOL).partition("::")
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
    content = value.get("bytes") if isinstance(value, dict) else value
    return bytes(content or b"")


@dataclass(frozen=True, slots=True)
class _ParquetFile:
    """A file's schema, and the number of each row group's first row; the last is that of all."""

    schema: pa.Schema
    first_rows: tuple[int, ...]


@lru_cache(maxsize=8)
def _parquet_file(uri: str, hosts: frozenset[Host] | None) -> _ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with _opened(uri, hosts) as opened:
            file = pq.ParquetFile(opened)
            metadata = file.metadata
            counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            return _ParquetFile(file.schema_arrow, tuple(accumulate(counts, initial=0)))
    except pa.ArrowException as error:
        raise ConfigError(f"{uri} is not a readable Parquet file: {error}") from error


@lru_cache(maxsize=2)
def _row_group(
    uri: str, hosts: frozenset[Host] | None, column: str, number: int
) -> pa.ChunkedArray:
    with _opened(uri, hosts) as opened:
        return bounded_row_group(uri, opened, column, number)


def _opened(uri: str, hosts: frozenset[Host] | None) -> Any:
    if is_local(uri):
        return open_regular(uri.removeprefix("file://"))
    filesystem, path = open_source(uri, hosts)
    return filesystem.open(path, "rb")


def _bytes_columns(schema: pa.Schema) -> list[str]:
    """Name the columns of bytes, or of a struct with `bytes` as Hugging Face writes them."""
    import pyarrow as pa

    def is_bytes(kind: pa.DataType) -> bool:
        if pa.types.is_struct(kind):
            return any(field.name == "bytes" and is_bytes(field.type) for field in kind)
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    return [field.name for field in schema if is_bytes(field.type)]


def _image_column(uri: str, schema: pa.Schema) -> str:
    columns = _bytes_columns(schema)
    if "image" in columns:
        return "image"
    if len(columns) != 1:
        raise ConfigError(
            f"{uri}: which column holds the photographs? Those of bytes are {columns}; call one "
            "`image`"
        )
    return columns[0]
