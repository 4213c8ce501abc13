"""One picture out of an archive that its uri names: `zip://NAME::PLACE` or `tar://NAME::PLACE`.

fsspec reads these too, without a limit: of a tar's headers, of a zip's directory, of what a member
unpacks to.
"""

from __future__ import annotations

import io
import struct
import tarfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, cast

from redepth.errors import ConfigError, ImageRejected
from redepth.images.allowed import Allowed
from redepth.images.opening import Host, open_source, web_hosts
from redepth.images.reading import open_regular, read_all
from redepth.images.uris import is_local
from redepth.redaction import shown
from redepth.storage_errors import in_words

_PROTOCOLS = ("zip://", "tar://")
# A header and what belongs to it (a long name, PAX records) is read at once; honest ones have some
# hundred bytes. A zip's directory is read at once, too, and has some 100 bytes a member.
_MAX_HEADER_BYTES = 2**20
_MAX_DIRECTORY_BYTES = 2**24
_MAX_READS_AT_END = 8
# zipfile raises the last three of offsets, counts and names that are damaged.
_ZIP_ERRORS = (
    zipfile.BadZipFile, tarfile.TarError, NotImplementedError, EOFError, ValueError, struct.error,
    IndexError,
)  # fmt: skip


def is_in_archive(uri: str) -> bool:
    """Whether the uri names a member of a zip or a tar that is itself no member of another."""
    return uri.startswith(_PROTOCOLS) and uri.count("::") == 1


def read_member(uri: str, allowed: Allowed, max_bytes: int, setting: str) -> bytes:
    """Read one member.

    Raises:
        FileNotFoundError: there is none of that name.
        ImageRejected: it is larger than allowed, or the archive cannot be read.
    """
    inside, _, place = uri.partition("::")
    protocol, _, name = inside.partition("://")
    if is_local(place):
        place = allowed.real_path(place)
    hosts = allowed.hosts_for(uri)
    read = _read_from_zip if protocol == "zip" else _read_from_tar
    try:
        return read(place, hosts, name.lstrip("/"), max_bytes, setting)
    except KeyError:
        raise FileNotFoundError(uri) from None
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise ImageRejected(f"{uri}: the archive cannot be read ({error})") from error
    except (NotImplementedError, RuntimeError) as error:  # another way to pack; a password
        raise ImageRejected(f"{uri}: it cannot be unpacked ({error})") from error


def open_tar(file: Any) -> tarfile.TarFile:
    """Open a tar of whose file no more is read at once than a header needs.

    Raises:
        tarfile.TarError: it is none.
    """
    return tarfile.open(fileobj=cast("Any", Bounded(file, _MAX_HEADER_BYTES)), mode="r:")


def tar_members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the regular members of an open tar, reading headers alone and keeping none.

    Raises:
        tarfile.TarError, ValueError, IndexError: it is damaged.
    """
    last = -1
    while (member := tar.next()) is not None:
        cast("Any", tar).members = []  # or it would keep every header
        if member.offset <= last:
            raise tarfile.ReadError(f"the member after {last:,} bytes does not lie behind it")
        last = member.offset
        if member.isreg():
            yield member


def require_zip(uri: str) -> None:
    """Refuse what is no zip, or has a directory that is damaged or too large.

    Raises:
        ConfigError: says why.
    """
    try:
        with _opened(uri, web_hosts(uri)) as file:
            zipfile.ZipFile(cast("Any", Bounded(file, _MAX_DIRECTORY_BYTES)))
    except _ZIP_ERRORS as error:
        raise ConfigError(f"{shown(uri)} is not a readable zip: {in_words(error)}") from error


class Bounded:
    """An archive's file, of which no more is read at once than a header or a directory needs.

    tarfile reads a long name, PAX records or a sparse file's map whole, of whatever size their
    header says, and a map on and on where the file has ended; zipfile does so with its directory.
    """

    def __init__(self, file: Any, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._num_at_end = 0

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes, or the rest; raises tarfile.ReadError of more than may be."""
        content = b""
        if size <= self._max_bytes:
            content = bytes(self._file.read(size if size >= 0 else self._max_bytes + 1))
        if max(size, len(content)) > self._max_bytes:
            raise tarfile.ReadError(
                f"a header in it needs {max(size, len(content)):,} bytes, expected "
                f"{self._max_bytes:,} at most"
            )
        self._num_at_end = 0 if content or not size else self._num_at_end + 1
        if self._num_at_end > _MAX_READS_AT_END:
            raise tarfile.ReadError("it ends within a header")
        return content

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Move, as of any file."""
        return int(self._file.seek(position, whence))

    def tell(self) -> int:
        """Return the position."""
        return int(self._file.tell())

    def seekable(self) -> bool:
        """zipfile asks."""
        return True


def _read_from_zip(
    place: str, hosts: frozenset[Host], name: str, max_bytes: int, setting: str
) -> bytes:
    archive = _zip(place, hosts)
    info = archive.getinfo(name)
    # Others unpack a block to any size at once.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError("only members that are stored or deflated are read")
    with archive.open(info) as member:
        return read_all(member, max_bytes, setting)


@lru_cache(maxsize=2)
def _zip(place: str, hosts: frozenset[Host]) -> zipfile.ZipFile:
    file = _opened(place, hosts)
    archive = zipfile.ZipFile(cast("Any", Bounded(file, _MAX_DIRECTORY_BYTES)))
    weakref.finalize(archive, file.close)  # a ZipFile leaves a file open that it was given
    return archive


def _read_from_tar(
    place: str, hosts: frozenset[Host], name: str, max_bytes: int, setting: str
) -> bytes:
    first, size = _tar_places(place, hosts)[name]
    with _opened(place, hosts) as file:
        file.seek(first)
        return read_all(_Part(file, size), max_bytes, setting)


@lru_cache(maxsize=2)
def _tar_places(place: str, hosts: frozenset[Host]) -> dict[str, tuple[int, int]]:
    with _opened(place, hosts) as file, open_tar(file) as tar:
        return {member.name: (member.offset_data, member.size) for member in tar_members(tar)}


class _Part:
    """The next so many bytes of an open file."""

    def __init__(self, file: Any, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int) -> bytes:
        content = bytes(self._file.read(min(size, self._left)))
        self._left -= len(content)
        return content


def _opened(place: str, hosts: frozenset[Host]) -> Any:
    if is_local(place):
        return open_regular(place.removeprefix("file://"))
    filesystem, path = open_source(place, hosts)
    return filesystem.open(path, "rb")
