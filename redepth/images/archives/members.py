"""One picture out of an archive that its uri names, `zip://NAME::PLACE` or `tar://NAME::PLACE`.

And the names of all of them, for a walk of an archive.

fsspec reads these too, without a limit: of a tar's headers, of a zip's directory, of what a member
unpacks to. Of a tar a name means what it means in `tar_images`, which lists tars: `tar_contents`.
"""

from __future__ import annotations

import io
import stat
import struct
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any, NamedTuple, cast

from redepth.errors import ConfigError, ImageRejected
from redepth.images.allowed import Allowed
from redepth.images.archives.shared_cache import shared_cache
from redepth.images.archives.tar_contents import (
    MAX_LINKS,
    TarContents,
    member_key,
    uri_name,
    within,
)
from redepth.images.archives.tar_walk import Damage, Member, walk_tar
from redepth.images.noticed import REPLACED, Noticed
from redepth.images.opening import Host, open_source, web_hosts
from redepth.images.reading import open_regular, read_all, require_size
from redepth.images.uris import is_local

_PROTOCOLS = ("zip://", "tar://")
# A zip's directory is read at once, and has some 100 bytes a member.
_MAX_DIRECTORY_BYTES = 2**24
_MAX_READS_AT_END = 8
_ZIP_END_BYTES = 2**16 + 200  # the end of the directory, zip64's with it, and a comment
_IN_ZIP64 = 2**16 - 1
_MAX_TARGET_BYTES = 2**12  # of a link, as many as Linux allows
_MAX_TAR_MEMBERS = 1_000_000
_MAX_DAMAGES = 100
_ENCRYPTED = 1  # of a zip's flags
# What zipfile raises of a damaged directory or member.
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError,
    NotImplementedError,
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
        return read(place, hosts, name, max_bytes, setting)
    except KeyError:
        raise FileNotFoundError(uri) from None
    except ImageRejected as error:
        raise ImageRejected(f"{uri}: {error}") from error
    except (NotImplementedError, RuntimeError) as error:  # another way to pack; a password
        raise ImageRejected(f"{uri}: it cannot be unpacked ({error})") from error
    except _UNREADABLE as error:
        raise ImageRejected(f"{uri}: the archive cannot be read ({_zip_reason(error)})") from error


class Bounded:
    """A zip's file, of which no more is read at once than its directory needs.

    zipfile reads it whole, of whatever size its end says.
    """

    def __init__(self, file: Any, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._num_at_end = 0

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes, or the rest; raises BadZipFile of more than may be."""
        content = b""
        if size <= self._max_bytes:
            content = bytes(self._file.read(size if size >= 0 else self._max_bytes + 1))
        if max(size, len(content)) > self._max_bytes:
            raise zipfile.BadZipFile(
                f"a header in it needs {max(size, len(content)):,} bytes, expected "
                f"{self._max_bytes:,} at most"
            )
        self._num_at_end = 0 if content or not size else self._num_at_end + 1
        if self._num_at_end > _MAX_READS_AT_END:
            raise zipfile.BadZipFile("it ends within a header")
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


def archive_files(start: str, noticed: Noticed) -> list[ArchiveFile]:
    """Return the files of the archive that `zip://FOLDER::PLACE` names, by their names' order.

    Raises:
        ConfigError: nothing in it can be read.
    """
    protocol, _, place = start.partition("::")
    listed = _zip_files if protocol.startswith("zip") else _tar_files
    try:
        return sorted(listed(place, web_hosts(start), noticed))
    except (ImageRejected, *_UNREADABLE) as error:
        raise ConfigError(f"{place} cannot be read: {_zip_reason(error)}") from error


def _zip_files(place: str, hosts: frozenset[Host], noticed: Noticed) -> Iterator[ArchiveFile]:
    index = _zip(place, hosts)
    for info in index.archive.infolist():
        name = uri_name(info.filename.lstrip("/"))
        if info.is_dir():
            continue
        if index.members[member_key(name)] is info:
            yield ArchiveFile(name, info.file_size, f"{info.CRC:08x}")
        else:
            noticed.passed_over(REPLACED, f"zip://{name}::{place}")


def _tar_files(place: str, hosts: frozenset[Host], noticed: Noticed) -> Iterator[ArchiveFile]:
    tar = _tar(place, hosts)
    if tar.damages and not len(tar.contents):
        raise ImageRejected(tar.damages[0])
    for damage in tar.damages:
        noticed.fault(place, damage)
    for member in tar.contents.files():
        yield ArchiveFile(member.name.lstrip("/"), tar.size_of(member))


class ArchiveFile(NamedTuple):
    """A file in an archive.

    Attributes:
        name: as uris hold it.
        size_bytes: None where it cannot be read.
        version: changes when its bytes do; None where the archive does not tell.
    """

    name: str
    size_bytes: int | None
    version: str | None = None


def _read_from_zip(
    place: str, hosts: frozenset[Host], name: str, max_bytes: int, setting: str
) -> bytes:
    index = _zip(place, hosts)
    info = _target(index, index.members[member_key(name)])
    with _opened_member(index.archive, info) as member:
        return read_all(member, max_bytes, setting)


def _opened_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Open a member whose bytes can be counted while they are unpacked.

    Raises:
        NotImplementedError: it is encrypted, or packed in a way that unpacks to any size at once.
    """
    if info.flag_bits & _ENCRYPTED:
        raise NotImplementedError("it is encrypted: unpack the archive with its password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError("only members that are stored or deflated are read")
    return archive.open(info)


def _target(index: _Zip, info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """Return the file that a symbolic link (`zip --symlinks`) leads to, within its zip.

    Raises:
        ImageRejected: it leads out of the zip, or in a circle.
    """
    for _ in range(MAX_LINKS):
        if not stat.S_ISLNK(info.external_attr >> 16):
            return info
        with _opened_member(index.archive, info) as member:
            target = member.read(_MAX_TARGET_BYTES).decode(errors="replace")
        found = index.members.get(within(info.filename, target) or "")
        if found is None:
            raise ImageRejected(
                f"it is a link to {target!r}, which is not in its zip: none is followed"
            )
        info = found
    raise ImageRejected("it is a link that leads in a circle")


@dataclass(frozen=True, slots=True)
class _Zip:
    """A zip's files by the key of their name in uris; of those with one name, the last."""

    archive: zipfile.ZipFile
    members: dict[str, zipfile.ZipInfo]


@shared_cache(maxsize=2)
def _zip(place: str, hosts: frozenset[Host]) -> _Zip:
    with ExitStack() as stack:
        file = stack.enter_context(_opened(place, hosts))
        archive = zipfile.ZipFile(cast("Any", Bounded(file, _MAX_DIRECTORY_BYTES)))
        _require_all_named(archive, file)
        weakref.finalize(archive, stack.pop_all().close)
    return _Zip(archive, {member_key(uri_name(i.filename)): i for i in archive.infolist()})


def _require_all_named(archive: zipfile.ZipFile, file: Any) -> None:
    """Refuse a directory with fewer files than its end says: zipfile skips them without a word.

    Raises:
        zipfile.BadZipFile: says both numbers.
    """
    size = file.seek(0, io.SEEK_END) or file.tell()
    file.seek(max(0, size - _ZIP_END_BYTES))
    end = bytes(file.read(_ZIP_END_BYTES))
    last = end.rfind(b"PK\5\6")
    last_64 = end.rfind(b"PK\6\6", 0, last)
    (stated,) = struct.unpack_from("<H", end, last + 10)
    if stated == _IN_ZIP64 and last_64 >= 0:
        (stated,) = struct.unpack_from("<Q", end, last_64 + 32)
    found = len(archive.infolist())
    # Some writers count no further than 65,535.
    if stated != found and stated != found % (_IN_ZIP64 + 1):
        raise zipfile.BadZipFile(
            f"its directory is damaged: it should name {stated:,} files, and names {found:,}"
        )


def _zip_reason(error: Exception) -> str:
    """Say what zipfile says of a file without the directory at its end."""
    said = str(error)
    if said == "File is not a zip file":
        return "the directory that ends a zip is missing: it is cut, or is none"
    return said


def _read_from_tar(
    place: str, hosts: frozenset[Host], name: str, max_bytes: int, setting: str
) -> bytes:
    tar = _tar(place, hosts)
    member = tar.contents.get(member_key(name))
    if member is None and tar.damages:
        raise ImageRejected(f"the archive cannot be read ({'; '.join(tar.damages[:3])})")
    if member is None:
        raise KeyError(name)
    file = tar.contents.resolved(member)
    require_size(file.size_bytes, max_bytes, setting)
    with _opened(place, hosts) as opened:
        opened.seek(file.data_byte)
        return whole(name, bytes(opened.read(file.size_bytes)), file.size_bytes)


def whole(name: str, content: bytes, size_bytes: int) -> bytes:
    """Return the bytes of a tar's member, as many as its header says.

    Raises:
        ImageRejected: the tar ends before it does, or its server gives no part of a file.
    """
    if len(content) > size_bytes:
        raise ImageRejected(
            f"{name}: its server gave {len(content):,} bytes where {size_bytes:,} were asked for: "
            "it gives no parts of a file; copy the tar to a disk or a bucket"
        )
    if len(content) != size_bytes:
        raise ImageRejected(
            f"{name} is not as it was listed: {len(content):,} of its {size_bytes:,} bytes are "
            "there; run again once its tar is whole"
        )
    return content


@dataclass(frozen=True, slots=True)
class _Tar:
    """A tar's files, called as in uris, and the first parts of it that cannot be read."""

    contents: TarContents
    damages: tuple[str, ...]

    def size_of(self, member: Member) -> int | None:
        """Return the size of the file that a member is or leads to; None if it cannot be read."""
        try:
            return self.contents.resolved(member).size_bytes
        except ImageRejected:
            return None


@shared_cache(maxsize=2)
def _tar(place: str, hosts: frozenset[Host]) -> _Tar:
    contents, damages = TarContents(), list[str]()
    with _opened(place, hosts) as file:
        for entry in walk_tar(file):
            if isinstance(entry, Damage):
                damages += [str(entry)] if len(damages) < _MAX_DAMAGES else []
                continue
            contents.add(entry._replace(name=uri_name(entry.name)))
            if len(contents) > _MAX_TAR_MEMBERS:
                raise ImageRejected(
                    f"the tar holds more than {_MAX_TAR_MEMBERS:,} files: name the tar as the "
                    "collection, instead of files in it"
                )
    return _Tar(contents, tuple(damages))


def _opened(place: str, hosts: frozenset[Host]) -> Any:
    if is_local(place):
        return open_regular(place.removeprefix("file://"))
    filesystem, path = open_source(place, hosts)
    return filesystem.open(path, "rb")
