"""The members of a tar, one header after another, and every part of it that cannot be read.

Where a header is damaged, the next one is looked for in steps of a block: its checksum must be
right. A tar may itself be stored in a tar; its headers are right as well. Such an inner tar begins
directly behind the header that is damaged, and ends before the file does: it is stepped over.

Every byte is accounted for: it belongs to a member, to the blocks that end a tar, or to a `Damage`.

- A tar ends with two blocks of zeros, filled up to 10,240 bytes. One that ends without, or with
  more zeros than that (a download that was broken off), is damaged: members may be missing.
- Behind the end another tar may begin (`cat a.tar b.tar`): it is read too. So are members behind
  zeros that end no tar; these zeros are a damage.
- A member whose bytes are cut is yielded, with the size that it should have; then a damage.
"""

from __future__ import annotations

import tarfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, NamedTuple

from redepth.images.archives.tar_headers import (
    BLOCK_BYTES,
    LONG_LINK,
    LONG_NAME,
    MAX_RECORD_BYTES,
    PAX,
    PAX_GLOBAL,
    RECORDS,
    BrokenRecord,
    fills_name,
    has_data,
    has_more_map,
    header_of,
    long_name,
    looks_like_record,
    name_as_read,
    padded,
    pax_records,
    size_as_read,
)
from redepth.printable import one_line

_END_BYTES = 2 * BLOCK_BYTES
_FILLED_UP_TO = tarfile.RECORDSIZE
_FIRST_SCAN_BYTES = 2**12  # most damages are followed by a header soon
_SCAN_BYTES = 2**20
# Of one tar, for headers behind damaged ones: enough for the largest photographs, seconds to read.
_MAX_SCANNED_BYTES = 2**30
_MAX_INNER_HEADERS = 100_000
_MAX_MAP_BLOCKS = 10_000
_LONGEST_NAME = 100
_PACKED = (
    (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"(\xb5/\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
)  # fmt: skip


class Kind(Enum):
    """What a member is."""

    FILE = auto()
    SPARSE = auto()  # its holes are not stored: its bytes in the tar are not those of the file
    HARD_LINK = auto()
    SYMBOLIC_LINK = auto()
    FOLDER = auto()
    OTHER = auto()  # a device, a pipe, a part of a file in another volume


class Member(NamedTuple):
    """A member as its headers describe it.

    Attributes:
        name: as it is stored; bytes that are not UTF-8 as surrogates.
        first_byte: where its first header begins.
        data_byte: where its bytes begin.
        size_bytes: how many bytes it should have.
        is_whole: whether they are all there.
        target: of a link, as it is stored.
    """

    name: str
    kind: Kind
    first_byte: int
    data_byte: int
    size_bytes: int
    is_whole: bool = True
    target: str = ""


class Damage(NamedTuple):
    """A part of a tar that cannot be read.

    Attributes:
        first_byte: where it begins.
        end_byte: where the next part begins that can be read; None if none follows: whatever was
            there, or should follow the file's last byte, is missing.
        reason: what is wrong there.
    """

    first_byte: int
    end_byte: int | None
    reason: str

    def __str__(self) -> str:
        if self.end_byte is None:
            return f"from byte {self.first_byte:,} on: {self.reason}"
        return f"bytes {self.first_byte:,} to {self.end_byte:,}: {self.reason}"


Entry = Member | Damage
Step = Generator[Entry, None, int]  # yields entries and returns where to read on


def walk_tar(file: Any) -> Iterator[Entry]:
    """Yield the members of an open tar and its damaged parts, in the order of their bytes.

    Args:
        file: seekable. Only headers are read, and what is searched for them.

    Memory: a header and its records, which are read up to a mebibyte.
    """
    return _Walk(file).entries()


@dataclass(slots=True)
class _Records:
    """What was said of the member whose header comes next.

    Attributes:
        first_byte: where the first of the records begins; None without records.
        broken: why the member cannot be told what it is.
    """

    first_byte: int | None = None
    name: str | None = None
    target: str | None = None
    pax: dict[str, str] = field(default_factory=dict)
    broken: str = ""


class _Walk:
    def __init__(self, file: Any) -> None:
        self._file = file
        self._size = int(file.seek(0, 2) or file.tell())
        self._records = _Records()
        self._global: dict[str, str] = {}
        self._first_header = 0  # of the tar that is read, of several in one file
        self._has_ended = False
        self._is_behind_damage = False
        self._bytes_to_scan = _MAX_SCANNED_BYTES
        self._inner_headers_left = _MAX_INNER_HEADERS

    def entries(self) -> Iterator[Entry]:
        at = 0
        while at < self._size:
            block = self._read(at, BLOCK_BYTES)
            header = header_of(block)
            if header is not None:
                self._has_ended = False
                read = self._record if header.type in RECORDS else self._member
                at = yield from read(at, block, header)
            elif not block.strip(b"\0"):
                at = yield from self._zeros(at, block)
            else:
                at = yield from self._damaged(at, block, _reason(at, block))
        if self._records.first_byte is not None:
            reason = self._records.broken or "it ends within a header"
            yield Damage(self._records.first_byte, None, reason)
        elif not self._has_ended:
            yield Damage(self._size, None, _NOT_ENDED if self._size else "it is empty")

    # --- a header that can be read ---------------------------------------------------------------

    def _record(self, at: int, block: bytes, header: tarfile.TarInfo) -> Step:
        yield from ()
        records = self._records
        if records.first_byte is None:
            records.first_byte = at
        end = at + BLOCK_BYTES + padded(header.size)
        try:
            self._note(header.type, self._record_bytes(at, header.size))
        except BrokenRecord as error:
            records.broken = records.broken or str(error)
        if header.type == PAX_GLOBAL and not records.broken and records.first_byte == at:
            records.first_byte = None  # it belongs to no member
        return end

    def _record_bytes(self, at: int, size_bytes: int) -> bytes:
        if size_bytes > MAX_RECORD_BYTES:
            raise BrokenRecord(
                f"a header in it needs {size_bytes:,} bytes, expected {MAX_RECORD_BYTES:,} at most"
            )
        data = self._read(at + BLOCK_BYTES, size_bytes)
        if len(data) < size_bytes:
            raise BrokenRecord("it ends within a header")
        return data

    def _note(self, kind: bytes, data: bytes) -> None:
        if kind == LONG_NAME:
            self._records.name = long_name(data)
        elif kind == LONG_LINK:
            self._records.target = long_name(data)
        elif kind in PAX:
            self._records.pax.update(pax_records(data))
        else:
            self._global.update(pax_records(data))

    def _member(self, at: int, block: bytes, header: tarfile.TarInfo) -> Step:
        records, self._records = self._records, _Records()
        is_behind_damage, self._is_behind_damage = self._is_behind_damage, False
        member = self._described(at, block, header, records)
        end = member.data_byte
        if has_data(header.type):
            end += padded(member.size_bytes)
        broken = records.broken
        if is_behind_damage and records.name is None and fills_name(block):
            broken = broken or "its name may go on in a part that is damaged"
        if broken:
            reason = f"{broken} (of {_shown(member.name)})"
            yield Damage(member.first_byte, min(end, self._size), reason)
        else:
            yield member
        if not member.is_whole:
            self._has_ended = True
            yield Damage(self._size, None, f"it ends within {_shown(member.name)}")
        return end

    def _described(
        self, at: int, block: bytes, header: tarfile.TarInfo, records: _Records
    ) -> Member:
        said = {**self._global, **records.pax}
        kind = _KINDS.get(header.type, Kind.OTHER)
        data_byte = at + BLOCK_BYTES
        if header.type == tarfile.GNUTYPE_SPARSE:
            data_byte = self._behind_map(data_byte, block)
        if any(key.startswith("GNU.sparse.") for key in said):
            kind = Kind.SPARSE
        size_bytes = int(said.get("size", header.size)) if has_data(header.type) else 0
        return Member(
            said.get("GNU.sparse.name") or said.get("path") or records.name or header.name,
            kind,
            at if records.first_byte is None else records.first_byte,
            data_byte,
            size_bytes,
            data_byte + size_bytes <= self._size,
            said.get("linkpath") or records.target or header.linkname,
        )

    def _behind_map(self, at: int, block: bytes) -> int:
        """Return where the bytes of a sparse member begin, behind the blocks of its map."""
        in_header = True
        for _ in range(_MAX_MAP_BLOCKS):
            if not has_more_map(block, in_header):
                break
            block, in_header = self._read(at, BLOCK_BYTES), False
            at += BLOCK_BYTES
        return at

    # --- what is none ----------------------------------------------------------------------------

    def _zeros(self, at: int, block: bytes) -> Step:
        end = self._end_of_zeros(at)
        num_bytes = (self._size if end is None else end) - at
        self._has_ended = num_bytes >= _END_BYTES
        if end is None:
            if num_bytes > _END_BYTES + _FILLED_UP_TO:
                yield from self._lost(at, None, f"{num_bytes:,} {_TOO_MANY_ZEROS}")
            return self._size
        if self._ends_a_tar(at, end) and self._records.first_byte is None:
            self._first_header = end
            return end
        reason = f"{num_bytes:,} bytes of zeros, and bytes behind them that belong to no file"
        if header_of(self._read(end, BLOCK_BYTES)) is not None:
            reason = f"{num_bytes:,} bytes of zeros between two files"
        return (yield from self._damaged(at, block, reason))

    def _ends_a_tar(self, at: int, end: int) -> bool:
        """Whether zeros before a further header are those that end a tar."""
        num_bytes = end - at
        filled_up = (end - self._first_header) % _FILLED_UP_TO == 0
        is_end = num_bytes == _END_BYTES or (
            _END_BYTES < num_bytes <= _END_BYTES + _FILLED_UP_TO and filled_up
        )
        return is_end and header_of(self._read(end, BLOCK_BYTES)) is not None

    def _end_of_zeros(self, at: int) -> int | None:
        """Return the first block that is not of zeros, None where nothing else follows."""
        for first, chunk in self._chunks(at):
            if chunk.strip(b"\0"):
                num_zeros = len(chunk) - len(chunk.lstrip(b"\0"))
                return first + num_zeros // BLOCK_BYTES * BLOCK_BYTES
        return None

    def _damaged(self, at: int, block: bytes, reason: str) -> Step:
        following = self._behind(at, block)
        if following is not None and looks_like_record(block):
            records = self._records
            first_byte = at if records.first_byte is None else records.first_byte
            self._records = replace(records, first_byte=first_byte, broken=reason)
            return following
        if following is None and self._bytes_to_scan <= 0:
            reason = f"{reason}; no more than {_MAX_SCANNED_BYTES:,} bytes are searched"
        yield from self._lost(at, following, reason)
        if following is None:
            self._has_ended = True
            return self._size
        self._is_behind_damage = True
        return following

    def _lost(self, at: int, end: int | None, reason: str) -> Iterator[Damage]:
        """Yield a damage; records before it, whose member is not found, are part of it."""
        records, self._records = self._records, _Records()
        first_byte = at if records.first_byte is None else records.first_byte
        yield Damage(first_byte, end, f"{records.broken}; {reason}" if records.broken else reason)

    def _behind(self, at: int, block: bytes) -> int | None:
        """Return where the next header of this tar lies behind a damaged one."""
        following = self._next_header(at + BLOCK_BYTES)
        size_bytes = size_as_read(block)
        if following != at + BLOCK_BYTES or size_bytes == 0:
            return following
        end = self._end_of_inner(following)
        if end is None and not name_as_read(block).lower().endswith(".tar"):
            return following
        stated = following + padded(size_bytes or 0)
        if stated > following and header_of(self._read(stated, BLOCK_BYTES)) is not None:
            return stated
        return None if end is None else self._next_header(end)

    def _next_header(self, at: int) -> int | None:
        for first, chunk in self._chunks(at):
            for start in range(0, len(chunk), BLOCK_BYTES):
                if header_of(chunk[start : start + BLOCK_BYTES]) is not None:
                    return first + start
        return None

    def _end_of_inner(self, at: int) -> int | None:
        """Return where a tar that begins here ends, None if the file ends there too."""
        while self._inner_headers_left > 0:
            self._inner_headers_left -= 1
            block = self._read(at, BLOCK_BYTES)
            header = header_of(block)
            if header is None:
                return self._end_of_zeros(at) if block and not block.strip(b"\0") else None
            at += BLOCK_BYTES + (padded(header.size) if has_data(header.type) else 0)
        return None

    def _chunks(self, at: int) -> Iterator[tuple[int, bytes]]:
        """Yield the file from a byte on, as far as may still be searched."""
        num_bytes = _FIRST_SCAN_BYTES
        while at < self._size and self._bytes_to_scan > 0:
            chunk = self._read(at, num_bytes)
            self._bytes_to_scan -= len(chunk)
            yield at, chunk
            at += len(chunk)
            num_bytes = min(4 * num_bytes, _SCAN_BYTES)

    def _read(self, at: int, num_bytes: int) -> bytes:
        if at >= self._size:
            return b""
        self._file.seek(at)
        return bytes(self._file.read(num_bytes))


_NOT_ENDED = "it ends without the two empty blocks that end a tar: files may be missing"
_TOO_MANY_ZEROS = (
    "bytes of zeros, more than end a tar: files may be missing (a download that was broken off?)"
)
_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.GNUTYPE_SPARSE: Kind.SPARSE,
    tarfile.LNKTYPE: Kind.HARD_LINK,
    tarfile.SYMTYPE: Kind.SYMBOLIC_LINK,
    tarfile.DIRTYPE: Kind.FOLDER,
}


def _reason(at: int, block: bytes) -> str:
    packed = next((name for start, name in _PACKED if at == 0 and block.startswith(start)), None)
    if packed:
        return f"it is packed with {packed}: unpack it, and store photographs as they are"
    if len(block) < BLOCK_BYTES:
        return "it ends within a header"
    if b"ustar" in block[250:270] or looks_like_record(block):
        return f"a damaged header, of {_shown(name_as_read(block))} as far as it can be read"
    return "no header is here"


def _shown(name: str) -> str:
    return repr(one_line(name, _LONGEST_NAME))
