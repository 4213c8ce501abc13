"""WebP: a file that ends, or is damaged, behind its first picture."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from redepth.images.picture.damage import truncated

_PIXELS = frozenset((b"VP8 ", b"VP8L", b"ANMF"))
_ABOUT_ALL = frozenset((b"VP8X", b"ICCP", b"ANIM", b"EXIF", b"XMP "))
_MOST_CHUNKS = 100_000


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    start: int
    end: int
    is_whole: bool


def whole_webp(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a WebP without the chunk in which it ends, and a note; the same bytes of a whole one.

    Raises:
        ImageRejected: the first picture is not whole.
    """
    chunks = list(_chunks(data))
    if not chunks or (all(chunk.is_whole for chunk in chunks) and _declared(data) <= len(data)):
        return data, ()
    whole = [chunk for chunk in chunks if chunk.is_whole]
    if not any(chunk.kind in _PIXELS for chunk in whole):
        raise truncated("of the first picture a part is missing")
    return _joined(data, whole), ("the file ends too early, its first picture is whole",)


def first_frame(data: bytes) -> bytes | None:
    """Return an animation of its first frame alone; None if it is no animation."""
    chunks = [chunk for chunk in _chunks(data) if chunk.is_whole]
    frames = [chunk for chunk in chunks if chunk.kind == b"ANMF"]
    if not frames:
        return None
    kept = [chunk for chunk in chunks if chunk.kind in _ABOUT_ALL or chunk is frames[0]]
    return _joined(data, kept)


def _declared(data: bytes) -> int:
    return 8 + int(struct.unpack_from("<I", data, 4)[0])


def _chunks(data: bytes) -> Iterator[_Chunk]:
    start = 12
    for _ in range(_MOST_CHUNKS):
        if start + 8 > min(len(data), _declared(data)):
            return
        kind, length = struct.unpack_from("<4sI", data, start)
        end = start + 8 + length
        yield _Chunk(kind, start, end, end <= len(data))
        start = end + length % 2


def _joined(data: bytes, chunks: list[_Chunk]) -> bytes:
    body = b"WEBP" + b"".join(
        data[chunk.start : chunk.end] + bytes((chunk.end - chunk.start) % 2) for chunk in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body
