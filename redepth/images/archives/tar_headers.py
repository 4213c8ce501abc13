"""Blocks of a tar: what is a header, and what the records before one say of it.

tarfile reads a single header (`TarInfo.frombuf`); how members follow each other is read in
`tar_walk`, for tarfile ends at the first header that is damaged, without a word.
"""

from __future__ import annotations

import tarfile

BLOCK_BYTES = 512
# A header and what belongs to it (a long name, PAX records) is read at once; honest ones have some
# hundred bytes.
MAX_RECORD_BYTES = 2**20

LONG_NAME = tarfile.GNUTYPE_LONGNAME
LONG_LINK = tarfile.GNUTYPE_LONGLINK
PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
PAX_GLOBAL = tarfile.XGLTYPE
RECORDS = (LONG_NAME, LONG_LINK, *PAX, PAX_GLOBAL)

_CHECKSUM = slice(148, 156)
_CHECKSUM_BYTES = b" 01234567\0"
_NAME = slice(0, 100)
_SIZE = slice(124, 136)
_TYPE = slice(156, 157)
_RECORD_NAMES = (b"@LongLink", b"PaxHeader")
_NUMBER_DIGITS = 20
_HAS_MORE = {True: 482, False: 504}  # of a sparse member's map, in its header and behind it


class BrokenRecord(ValueError):
    """What is said of a member cannot be read."""


def header_of(block: bytes) -> tarfile.TarInfo | None:
    """Return the header that a block is, None where its checksum or its numbers are wrong."""
    if len(block) < BLOCK_BYTES or block[_CHECKSUM].strip(_CHECKSUM_BYTES):
        return None
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None
    return header if header.size >= 0 else None


def padded(size_bytes: int) -> int:
    """Return how many bytes a member of a size takes: whole blocks."""
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def has_data(kind: bytes) -> bool:
    """Whether bytes follow a header: not that of a link, a folder or a device."""
    with_data = (*tarfile.REGULAR_TYPES, *RECORDS)
    return kind in with_data or kind not in tarfile.SUPPORTED_TYPES


def text_of(record: bytes) -> str:
    """Return the text of a field or of a long name, which ends in a zero."""
    return record.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def long_name(record: bytes) -> str:
    """Return what the record of a long name says.

    Raises:
        BrokenRecord: there is nothing in it, or zeros in the middle.
    """
    name = text_of(record)
    if not name or record.rstrip(b"\0") != record.partition(b"\0")[0]:
        raise BrokenRecord("the record of its name is damaged")
    return name


def pax_records(data: bytes) -> dict[str, str]:
    """Return PAX records by their key; bytes that are not UTF-8 (hdrcharset=BINARY) are kept.

    Raises:
        BrokenRecord: they are not written as PAX is.
    """
    records: dict[str, str] = {}
    at, last = 0, len(data.rstrip(b"\0"))
    while at < last:
        number, _, _ = data[at : at + _NUMBER_DIGITS].partition(b" ")
        end = at + int(number) if number.isdigit() else 0
        key, equals, value = data[at + len(number) + 1 : end - 1].partition(b"=")
        if not at < end <= len(data) or data[end - 1 : end] != b"\n" or not equals:
            raise BrokenRecord("its PAX records are damaged")
        records[_pax_text(key)] = _pax_text(value)
        at = end
    size = records.get("size", "0")
    if not size.isdecimal() or len(size) > _NUMBER_DIGITS:
        raise BrokenRecord("its PAX records are damaged (size)")
    return records


def _pax_text(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def has_more_map(block: bytes, in_header: bool) -> bool:
    """Whether a further block of a sparse member's map follows this one."""
    at = _HAS_MORE[in_header]
    return len(block) == BLOCK_BYTES and block[at] != 0


# --- what a block that is no header any more still says -------------------------------------------


def name_as_read(block: bytes) -> str:
    """Return the name in a block that may be damaged."""
    return text_of(block[_NAME])


def fills_name(block: bytes) -> bool:
    """Whether a header's name is as long as can be: perhaps cut, with its rest in a record."""
    return b"\0" not in block[_NAME]


def size_as_read(block: bytes) -> int | None:
    """Return the size in a block that may be damaged, None where it is no number."""
    digits = block[_SIZE].strip(b" \0")
    try:
        return max(0, int(digits, 8))
    except ValueError:
        return None


def looks_like_record(block: bytes) -> bool:
    """Whether a damaged block was the header of a long name or of PAX records."""
    named = any(name in block[_NAME] for name in _RECORD_NAMES)
    return named or block[_TYPE] in RECORDS
