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

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from redepth.errors import ConfigError, ImageRejected
from redepth.images.allowed import Allowed
from redepth.images.archives import whole
from redepth.images.hidden import hidden_kind
from redepth.images.list_files import camera_of
from redepth.images.noticed import NOT_REGULAR, REPLACED, Noticed, kind_by_name
from redepth.images.opening import Host, open_source
from redepth.images.own_outputs import own_folders, own_kind
from redepth.images.parquet_bounds import bounded_row_group, bounded_rows
from redepth.images.reading import open_regular
from redepth.images.tar_captions import TarCaptions
from redepth.images.tar_contents import TarContents, uri_name
from redepth.images.tar_walk import Damage, Kind, Member, walk_tar
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
_MEMBERS_AT_A_TIME = 100_000
_CAPTION_BYTES = 2**25
_MAX_FAULTS = 100
_FAULTS_IN_ERROR = 3
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


def tar_images(
    uri: str, version: str | None, keeps: Callable[[str], bool], noticed: Noticed
) -> Iterator[ImageRef]:
    """Yield the images of a tar, in the order of their bytes, with their captions.

    Parts that cannot be read are noticed as faults, files that are not listed by their kinds. A
    member that is named as an image and has no bytes to read (a link out of the tar, a sparse
    file) is listed: reading it says why not.

    Args:
        keeps: tells by a member's name whether it is an image.

    Raises:
        ConfigError: it is no tar, or no image in it can be listed for a fault.

    Memory: some 100 MB at most. A caption that lies more than 100,000 files behind its photograph
    is not found; it is counted among the files that are not listed.
    """
    filesystem, path = open_source(uri)
    listing = _TarListing(uri, version, keeps, noticed)
    try:
        with filesystem.open(path, "rb", block_size=_READ_AHEAD_BYTES) as file:
            for contents, captions in listing.parts(file):
                yield from listing.images(contents, captions)
    except ValueError as error:  # of a server that gives no part of a file
        raise ConfigError(f"{uri} is not a readable tar: {error}") from error
    listing.close()


class _TarListing:
    """Lists one tar, and notes what it does not list."""

    def __init__(
        self, uri: str, version: str | None, keeps: Callable[[str], bool], noticed: Noticed
    ) -> None:
        self._uri = uri
        self._version = version
        self._keeps = keeps
        self._noticed = noticed
        self._faults: list[str] = []  # until an image is listed: without one, they are the error
        self._num_images = 0
        self._num_faults = 0

    def parts(self, file: Any) -> Iterator[tuple[TarContents, TarCaptions]]:
        """Yield what the tar holds, as much as fits into memory at a time."""
        contents, captions = TarContents(), TarCaptions(file)
        for entry in walk_tar(file):
            if isinstance(entry, Damage):
                self._fault(str(entry))
                continue
            replaced = contents.add(entry)
            if replaced is not None and replaced.kind is not Kind.FOLDER:
                self._noticed.passed_over(REPLACED, self._uri_of(replaced))
            captions.note(entry)
            if len(contents) >= _MEMBERS_AT_A_TIME or captions.num_bytes >= _CAPTION_BYTES:
                yield contents, captions
                contents, captions = TarContents(), TarCaptions(file)
        yield contents, captions

    def images(self, contents: TarContents, captions: TarCaptions) -> Iterator[ImageRef]:
        """Yield the images, then count the files that are none and belong to none."""
        others: list[tuple[str, Member]] = []
        own = own_folders((key for key, _ in contents.items()), captions.beginning_of(contents))
        for key, member in contents.items():
            if member.kind is Kind.FOLDER:
                continue
            kind = _kind_not_listed(member) or (own_kind(key, own) if own else None)
            if kind is not None:
                self._noticed.passed_over(kind, self._uri_of(member))
            elif self._keeps(member.name):
                yield from self._listed(key, member, contents, captions)
            else:
                others.append((key, member))
        for key, member in others:
            if not captions.is_used(key):
                uri = self._uri_of(member)
                self._noticed.passed_over(kind_by_name(uri), uri)

    def close(self) -> None:
        """Raise the first faults as an error if no image was listed."""
        if self._faults:
            said = "; ".join(self._faults[:_FAULTS_IN_ERROR])
            raise ConfigError(f"{self._uri} is not a readable tar: {said}")

    def _listed(
        self, key: str, member: Member, contents: TarContents, captions: TarCaptions
    ) -> Iterator[ImageRef]:
        try:
            caption = captions.caption_of(key, contents)
        except ImageRejected as error:  # without its caption it would have another label
            self._fault(f"{member.name} is not listed: {error}")
            return
        try:
            file: Member | None = contents.resolved(member)
        except ImageRejected:  # said when it is read
            file = None
        self._num_images += 1
        while self._faults:
            self._noticed.fault(self._uri, self._faults.pop(0))
        uri = self._uri_of(member)
        size_bytes, data_byte = (file.size_bytes, file.data_byte) if file else (None, None)
        yield ImageRef(
            image_id(uri), uri, size_bytes, self._version, caption, offset_bytes=data_byte
        )

    def _uri_of(self, member: Member) -> str:
        where = self._uri if "://" in self._uri else f"file://{self._uri}"
        return f"tar://{uri_name(member.name)}::{where}"

    def _fault(self, reason: str) -> None:
        """Note a fault; of a tar that is damaged everywhere, the first ones alone."""
        self._num_faults += 1
        if self._num_faults > _MAX_FAULTS:
            return
        if self._num_faults == _MAX_FAULTS:
            reason = f"{reason}; further damages in it are not named"
        if self._num_images:
            self._noticed.fault(self._uri, reason)
        else:
            self._faults.append(reason)


def _kind_not_listed(member: Member) -> str | None:
    hidden = hidden_kind(member.name)
    return NOT_REGULAR if hidden is None and member.kind is Kind.OTHER else hidden


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
    return whole(ref.uri, content, size)


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
