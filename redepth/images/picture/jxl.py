"""JPEG XL by pillow-jxl-plugin (libjxl): the extra `redepth[jxl]`.

The decoder is handed the codestream alone, taken out of its boxes: they may hold compressed
metadata without a limit, and a JPEG to be put together again. The codestream has the picture's
orientation in it and libjxl turns by it; EXIF's says the same once more. The decoder takes
memory before it tells the size, so the size is read here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from redepth.errors import ImageRejected
from redepth.images.picture.damage import truncated
from redepth.images.picture.formats import JXL
from redepth.images.picture.signatures import is_tiff

_CODESTREAM = b"\xff\x0a"
_SIZE_BITS = (9, 13, 18, 30)
_RATIOS = ((1, 1), (6, 5), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height, from 1 on
_SAMPLES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "I;16": 2, "F": 4}  # bytes a pixel by mode
_MOST_BOXES = 10_000
_MOST_EXIF_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class JxlFile:
    """What is needed of a file: its codestream, its size in pixels before it is turned, EXIF."""

    codestream: bytes
    width_px: int
    height_px: int
    exif: bytes | None


def read_jxl(data: bytes) -> JxlFile:
    """Read the header of a JPEG XL, bare or in boxes, without decoding it.

    Raises:
        ImageRejected: the extra is not installed, or it is a kind that is not read (animations), or
            it is damaged.
    """
    JXL.require_for("a JPEG XL picture")
    codestream, exif = (data, None) if data.startswith(_CODESTREAM) else _unboxed(data)
    try:
        width_px, height_px = _read_header(_Bits(codestream[2:64]))
    except IndexError as error:
        raise truncated("in the header") from error
    return JxlFile(codestream, width_px, height_px, exif)


def decode_jxl(file: JxlFile) -> Image.Image:
    """Decode the picture, upright; its profile and EXIF in `info`.

    Raises:
        ImageRejected: it is of a depth that the decoder does not give.
        RuntimeError: the codestream is damaged.
    """
    from pillow_jxl import Decoder

    try:
        _, info, pixels, profile, _ = Decoder(num_threads=1)(file.codestream)
    except Exception as error:
        raise ImageRejected("damaged: the JPEG XL codestream cannot be decoded") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's, which is no Exception
            raise
        raise ImageRejected("damaged: the JPEG XL decoder gave up") from error
    needed = info.width * info.height * _SAMPLES.get(info.mode, 0)
    if len(pixels) != needed or not needed:
        raise ImageRejected(
            f"a JPEG XL picture of samples that are not read ({info.mode}): convert it to 8 bits"
        )
    image = Image.frombytes(info.mode, (info.width, info.height), pixels)
    image.info |= {"icc_profile": profile, "exif": file.exif}
    return image


class _Bits:
    """Bits of a codestream, the lowest of a byte first (ISO 18181-1)."""

    def __init__(self, data: bytes) -> None:
        self._bits = [byte >> place & 1 for byte in data for place in range(8)]
        self._next = 0

    def read(self, num: int) -> int:
        """Read an unsigned number; raises IndexError where the bits end."""
        value = sum(self._bits[self._next + place] << place for place in range(num))
        self._next += num
        return value


def _read_header(bits: _Bits) -> tuple[int, int]:
    """Return width and height, and refuse what would not come out as its first frame."""
    size = _read_size(bits)
    is_default = bits.read(1)
    if is_default or not bits.read(1):  # no further fields
        return size
    bits.read(3)  # orientation, which the decoder applies
    if bits.read(1):
        _read_size(bits)  # the intrinsic size
    if bits.read(1):
        raise ImageRejected("a JPEG XL with a preview in it, which is not read: save it anew")
    if bits.read(1):
        raise ImageRejected("an animated JPEG XL, which is not read: save its first frame")
    return size


def _read_size(bits: _Bits) -> tuple[int, int]:
    is_small = bits.read(1)
    height_px = _read_side(bits, is_small)
    ratio = bits.read(3)
    if not ratio:
        return _read_side(bits, is_small), height_px
    across, down = _RATIOS[ratio - 1]
    return height_px * across // down, height_px


def _read_side(bits: _Bits, is_small: int) -> int:
    if is_small:
        return (bits.read(5) + 1) * 8
    return bits.read(_SIZE_BITS[bits.read(2)]) + 1


def _unboxed(data: bytes) -> tuple[bytes, bytes | None]:
    """Return the codestream, put together from its boxes, and EXIF if there is a plain one."""
    parts: list[bytes] = []
    exif = None
    for kind, body in _boxes(data):
        if kind == b"jxlc":
            parts.append(body)
        elif kind == b"jxlp":
            parts.append(body[4:])
        elif kind == b"Exif" and exif is None and len(body) <= _MOST_EXIF_BYTES:
            exif = body[4:] if is_tiff(body[4:]) else body  # an offset comes first, by the standard
    codestream = b"".join(parts)
    if not codestream.startswith(_CODESTREAM):
        raise ImageRejected("damaged: a JPEG XL without a codestream")
    return codestream, exif


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = 0
    for _ in range(_MOST_BOXES):
        if start + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if length == 1 and start + 16 <= len(data):
            length, header = struct.unpack_from(">Q", data, start + 8)[0], 16
        end = start + length if length else len(data)
        if end < start + header:
            return
        yield kind, data[start + header : end]
        start = end
