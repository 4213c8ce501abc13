"""PFM, PGM and PPM by their formats: header and pixels have to fit, or the file is refused.

Pillow takes one byte for the white space behind a header, whatever it is, and what then lies there
for pixels: a header that ends in `\\r\\n` moves every pixel by a byte. It also stretches a grey
picture of another white point than 255 or 65535, which for depth changes the unit.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redepth.errors import ConfigError

MAX_PIXELS = 2**26  # 67 megapixels; ETH3D, the largest data set's, has 24

_LONGEST_HEADER = 2**16
_TAGS = {b"Pf": 1, b"PF": 3, b"P5": 1, b"P6": 3}
# White space, in which a comment reaches from # to the end of its line.
_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(
    rb"(P[fF56])" + _SPACE + rb"(\d{1,9})" + _SPACE + rb"(\d{1,9})" + _SPACE + rb"([^\s#]{1,32})"
)


@dataclass(frozen=True, slots=True)
class _Header:
    channels: int
    width: int
    height: int
    last: bytes  # of PFM the scale, of the others the white point
    end: int


def is_pnm(content: bytes) -> bool:
    """Whether a file begins as a PFM, or as a PGM or PPM of bytes."""
    return content[:2] in _TAGS and content[2:3].isspace()


def read_pnm(where: str, content: bytes) -> npt.NDArray[Any]:
    """Return the pixels of a PFM, PGM or PPM, [H, W] or [H, W, 3], the upper row first.

    PFM: float32; the sign of its scale says which byte comes first, its size is ignored, as the
    data sets' own readers do. PGM: uint8 or uint16 as stored, whatever the white point. PPM: uint8,
    the white point made 255.

    Raises:
        ConfigError: a header that is none, or not as many bytes behind it as it asks for.
    """
    header = _header_of(where, content)
    if content[:2] in (b"Pf", b"PF"):
        dtype = np.dtype("<f4" if _scale(where, header.last) < 0 else ">f4")
        return np.asarray(_pixels(where, content, header, dtype)[::-1], dtype=np.float32)
    white = int(header.last) if header.last.isdigit() else 0
    if not 0 < white < 2**16:
        raise ConfigError(f"{where}: its white point is {header.last!r}, expected 1 to 65535")
    pixels = _pixels(where, content, header, np.dtype("u1" if white < 2**8 else ">u2"))
    if header.channels == 3:
        return np.asarray(np.rint(np.minimum(pixels, white) * (255.0 / white)), dtype=np.uint8)
    return np.asarray(pixels, dtype=pixels.dtype.newbyteorder("="))


def _header_of(where: str, content: bytes) -> _Header:
    found = _HEADER.match(content[:_LONGEST_HEADER])
    if found is None:
        raise ConfigError(
            f"{where} begins with {content[:40]!r}: expected {content[:2].decode()}, width, height "
            "and one number more, with white space between them"
        )
    tag, width, height, last = found.groups()
    header = _Header(_TAGS[tag], int(width), int(height), last, found.end())
    if not 0 < header.width * header.height <= MAX_PIXELS:
        raise ConfigError(
            f"{where} is {header.width} x {header.height}, expected 1 pixel at least and "
            f"{MAX_PIXELS / 1e6:.0f} megapixels at most"
        )
    return header


def _scale(where: str, word: bytes) -> float:
    try:
        scale = float(word)
    except ValueError:
        scale = math.nan
    if not math.isfinite(scale) or scale == 0.0:
        raise ConfigError(
            f"{where}: its scale is {word!r}, expected a number whose sign says which byte comes "
            "first (negative: the lowest)"
        )
    return scale


def _pixels(where: str, content: bytes, header: _Header, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the pixels behind a header and what ends its last line, rows as they are stored."""
    expected = header.width * header.height * header.channels * dtype.itemsize
    start = len(content) - expected
    between = content[header.end : max(start, header.end)]
    # One byte of white space, as the format says; or the end of a line, spaces before it.
    if start <= header.end or not re.fullmatch(rb"\s|[ \t]*\r?\n", between):
        raise ConfigError(
            f"{where}: {header.width} x {header.height} x {header.channels} in its header "
            f"ask for {expected:,} bytes, {max(len(content) - header.end - 1, 0):,} lie behind it"
        )
    shape = (header.height, header.width, header.channels)
    pixels = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return pixels[..., 0] if header.channels == 1 else pixels
