"""One picture out of an archive that its uri names: `zip://NAME::PLACE` or `tar://NAME::PLACE`.

fsspec reads these too, without a limit: of a tar's headers, of a zip's directory, of what a member
unpacks to. Of a tar a name means what it means in `containers`, which lists tars: `tar_contents`.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from redepth.errors import ImageRejected
from redepth.images.allowed import Allowed
from redepth.images.opening import Host, open_source
from redepth.images.reading import open_regular, read_all, require_size
from redepth.images.tar_contents import TarContents, member_key, uri_name
from redepth.images.tar_walk import Damage, walk_tar
from redepth.images.uris import is_local

_PROTOCOLS = ("zip://", "tar://")
# A zip's directory is read at once, and has some 100 bytes a member.
_MAX_DIRECTORY_BYTES = 2**24
_MAX_READS_AT_END = 8
_MAX_TAR_MEMBERS = 1_000_000


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
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise ImageRejected(f"{uri}: the archive cannot be read ({error})") from error
    except (NotImplementedError, RuntimeError) as error:  # another way to pack; a password
        raise ImageRejected(f"{uri}: it cannot be unpacked ({error})") from error


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


def _read_from_zip(
    place: str, hosts: frozenset[Host], name: str, max_bytes: int, setting: str
) -> bytes:
    archive = _zip(place, hosts)
    info = archive.getinfo(name.lstrip("/"))
    # Others unpack a block to any size at once.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError("only members that are stored or deflated are read")
    with archive.open(info) as member:
        return read_all(member, max_bytes, setting)


@lru_cache(maxsize=2)
def _zip(place: str, hosts: frozenset[Host]) -> zipfile.ZipFile:
    return zipfile.ZipFile(cast("Any", Bounded(_opened(place, hosts), _MAX_DIRECTORY_BYTES)))


def _read_from_tar(
    place: str, hosts: frozenset[Host], name: str, max_bytes: int, setting: str
) -> bytes:
    tar = _tar(place, hosts)
    member = tar.contents.get(member_key(name))
    if member is None and tar.damage:
        raise ImageRejected(f"the archive cannot be read ({tar.damage})")
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
        ImageRejected: the tar ends before it does.
    """
    if len(content) != size_bytes:
        raise ImageRejected(
            f"{name} is not as it was listed: {len(content):,} of its {size_bytes:,} bytes are "
            "there; run again once its tar is whole"
        )
    return content


@dataclass(frozen=True, slots=True)
class _Tar:
    """A tar's files, keyed as they stand in uris, and the first thing that is wrong with it."""

    contents: TarContents
    damage: str


@lru_cache(maxsize=2)
def _tar(place: str, hosts: frozenset[Host]) -> _Tar:
    contents, damage = TarContents(), ""
    with _opened(place, hosts) as file:
        for entry in walk_tar(file):
            if isinstance(entry, Damage):
                damage = damage or str(entry)
                continue
            contents.add(entry._replace(name=uri_name(entry.name)))
            if len(contents) > _MAX_TAR_MEMBERS:
                raise ImageRejected(
                    f"the tar holds more than {_MAX_TAR_MEMBERS:,} files: name the tar as the "
                    "collection, instead of files in it"
                )
    return _Tar(contents, damage)


def _opened(place: str, hosts: frozenset[Host]) -> Any:
    if is_local(place):
        return open_regular(place.removeprefix("file://"))
    filesystem, path = open_source(place, hosts)
    return filesystem.open(path, "rb")
