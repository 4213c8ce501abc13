"""PNG: wrong checksums, a lost end, damage behind the first picture.

A chunk that pixels do not depend on is left out if its checksum is wrong. A wrong checksum of pixel
data is harmless where the stream in it, which has one of its own, decompresses to the last pixel.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from redepth.errors import ImageRejected
from redepth.images.picture.damage import truncated
from redepth.images.picture.signatures import PNG

_NEEDED = frozenset((b"IHDR", b"PLTE", b"tRNS"))  # without their numbers no pixel has a colour
_KIND = re.compile(rb"[A-Za-z]{4}")
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_PASSES = (  # Adam7: first column, first row, step of columns, of rows
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
    (0, 1, 1, 2),
)  # fmt: skip
_BLOCK_BYTES = 2**20
_MOST_CHUNKS = 2**17  # of a damaged file; 8 KiB each are over a gigabyte
_MOST_NOTES = 5


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk as it lies in the file, to the file's end if that comes first."""

    kind: bytes
    start: int
    body: memoryview
    is_sound: bool
    is_whole: bool


def whole_png(data: bytes, max_pixels: float) -> tuple[bytes, tuple[str, ...]]:
    """Return a PNG without what is damaged in it, and notes; the same bytes of a sound one.

    Args:
        max_pixels: of a larger picture nothing is looked at, for it is rejected anyway.

    Raises:
        ImageRejected: a pixel is missing.
    """
    size = _size(data)
    if size is None or size[0] * size[1] > max_pixels:
        return data, ()
    if _is_sound(data):
        return data, ()
    kept, notes = _without_damage(data)
    _require_every_pixel(kept)
    return _joined(kept), notes


def _is_sound(data: bytes) -> bool:
    for chunk in _chunks(data):
        if chunk.kind == b"IEND":
            return True
        if not chunk.is_sound:
            return False
    return False


def _without_damage(data: bytes) -> tuple[list[_Chunk], tuple[str, ...]]:
    """Return the chunks before the end that are sound or pixels, and notes on the others."""
    kept: list[_Chunk] = []
    notes: list[str] = []
    has_ended = False
    for index, chunk in enumerate(_chunks(data)):
        if index >= _MOST_CHUNKS:
            raise ImageRejected(f"damaged: broken PNG file (over {_MOST_CHUNKS:,} chunks)")
        has_ended = chunk.kind == b"IEND" or not chunk.is_whole
        if chunk.kind == b"IEND":
            break
        if chunk.is_sound or chunk.kind == b"IDAT":
            kept.append(chunk)
        elif chunk.kind in _NEEDED:
            raise ImageRejected(f"damaged: broken PNG file (wrong checksum in {_name(chunk)})")
        if not chunk.is_sound and len(notes) < _MOST_NOTES:
            notes.append(_said_of(chunk))
    if not has_ended:
        notes.append("the end marker is missing, every pixel is there")
    return kept, tuple(notes)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Yield chunks up to the end, or to where no chunk begins any more."""
    view, start = memoryview(data), len(PNG)
    while start + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        if not _KIND.fullmatch(kind):
            return
        end = start + 8 + length
        is_whole = end + 4 <= len(data)
        is_sound = is_whole and zlib.crc32(view[start + 4 : end]) == _number(data, end)
        yield _Chunk(kind, start, view[start + 8 : min(end, len(data))], is_sound, is_whole)
        start = end + 4


def _number(data: bytes, start: int) -> int:
    return int(struct.unpack_from(">I", data, start)[0])


def _name(chunk: _Chunk) -> str:
    return f"{chunk.kind.decode('ascii')} at byte {chunk.start}"


def _said_of(chunk: _Chunk) -> str:
    if not chunk.is_whole:
        return f"the file ends in chunk {_name(chunk)}, every pixel is there"
    if chunk.kind == b"IDAT":
        return f"wrong checksum in chunk {_name(chunk)}, its pixels are sound"
    return f"wrong checksum in chunk {_name(chunk)}, ignored"


def _size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    width_px, height_px = struct.unpack_from(">II", data, 16)
    return width_px, height_px


def _require_every_pixel(kept: list[_Chunk]) -> None:
    """Decompress, and throw away, the pixel data of a damaged file."""
    if not kept or kept[0].kind != b"IHDR":
        raise ImageRejected("damaged: broken PNG file (no header)")
    needed = _num_bytes(bytes(kept[0].body))
    pixels = [chunk for chunk in kept if chunk.kind == b"IDAT"]
    stream, found = zlib.decompressobj(), 0
    try:
        for chunk in pixels:
            rest: bytes | memoryview = chunk.body
            while len(rest) and found <= needed:
                found += len(stream.decompress(rest, _BLOCK_BYTES))
                rest = stream.unconsumed_tail
    except zlib.error as error:
        raise ImageRejected(f"damaged: broken PNG file ({error})") from error
    if found < needed:
        raise truncated(f"{found:,} of {needed:,} bytes of pixels")
    # The stream's own checksum, where the chunks' say nothing for its bytes.
    if not stream.eof and any(chunk.is_whole and not chunk.is_sound for chunk in pixels):
        raise ImageRejected("damaged: broken PNG file (wrong checksum in IDAT, and no other)")


def _num_bytes(header: bytes) -> int:
    """Return how many bytes the pixels have, a filter byte a row included."""
    width_px, height_px, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header[:13])
    bits = depth * _SAMPLES.get(colour, 4)
    passes = _PASSES if interlace else ((0, 0, 1, 1),)
    total = 0
    for left, top, step_x, step_y in passes:
        columns, rows = -(-(width_px - left) // step_x), -(-(height_px - top) // step_y)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _joined(kept: list[_Chunk]) -> bytes:
    parts: list[bytes | memoryview] = [PNG]
    for chunk in kept:
        checksum = zlib.crc32(chunk.body, zlib.crc32(chunk.kind))
        parts += [struct.pack(">I4s", len(chunk.body), chunk.kind), chunk.body]
        parts.append(struct.pack(">I", checksum))
    parts.append(struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND")))
    return b"".join(parts)
