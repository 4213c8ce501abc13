"""JPEG 2000: tiles that are missing, which OpenJPEG leaves blank, and a lost end marker."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator

from redepth.images.picture.damage import truncated
from redepth.images.picture.signatures import JPEG_2000

_END = b"\xff\xd9"
_SIZE, _TILE_PART = 0xFF51, 0xFF90


def whole_jpeg2000(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a JPEG 2000 with its end marker put back, and a note; the same bytes of a whole one.

    Raises:
        ImageRejected: a tile is missing.
    """
    start = data.find(JPEG_2000)
    if start < 0:
        return data, ()
    num_tiles, end = 0, len(data)
    found, announced = Counter[int](), Counter[int]()
    for marker, position, length in _segments(data, start + 2):
        end = position + length
        if marker == _SIZE:
            num_tiles = _num_tiles(data, position)
        if marker == _TILE_PART:
            tile, _, _, num_parts = struct.unpack_from(">HIBB", data, position + 2)
            found[tile] += 1
            announced[tile] = max(announced[tile], num_parts, 1)
    num_whole = sum(found[tile] >= num_parts for tile, num_parts in announced.items())
    if num_tiles and num_whole < num_tiles:
        raise truncated(f"{num_whole} of {num_tiles} tiles")
    missing = _END[len(data) - end :]
    if num_tiles and missing and data[end:] == _END[: len(data) - end]:
        return data + missing, ("the end marker is missing, every pixel is there",)
    return data, ()


def _segments(data: bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """Yield marker, position of its length, and how far it goes from there; tile-parts at a step.

    Ends where a segment reaches beyond the file, or at what is no marker.
    """
    while start + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, start)
        if marker < 0xFF00 or marker == 0xFFD9:
            return
        if marker == _TILE_PART:
            if start + 12 > len(data):
                return
            # The whole tile-part, counted from its marker; 0: to the end of the codestream.
            to_end = len(data) - start - len(_END) * data.endswith(_END)
            length = (struct.unpack_from(">I", data, start + 6)[0] or to_end) - 2
        if length < 2 or start + 2 + length > len(data):
            return
        yield marker, start + 2, length
        start += 2 + length


def _num_tiles(data: bytes, position: int) -> int:
    """Return how many tiles the picture has, by its size segment (ISO 15444-1, A.5.1)."""
    width, height, _, _, tile_w, tile_h, tile_x, tile_y = struct.unpack_from(
        ">8I", data, position + 4
    )
    if not (tile_w and tile_h):
        return 0
    columns, rows = -(-(width - tile_x) // tile_w), -(-(height - tile_y) // tile_h)
    return int(max(0, columns * rows))
