"""ICC profiles made from their definitions, a few hundred bytes each.

Layout: ICC.1:2022 (version 4). Primaries and white points as published; adapted to D50 by Bradford.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Primaries = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]

D65, D50 = (0.3127, 0.3290), (0.3457, 0.3585)
SRGB: Primaries = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
DISPLAY_P3: Primaries = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
ADOBE_RGB: Primaries = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
PROPHOTO: Primaries = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_D50_XYZ = np.array([0.9642, 1.0, 0.8249])


def to_xyz(primaries: Primaries, white: tuple[float, float]) -> Matrix:
    """Return the matrix [3, 3] from linear RGB to XYZ relative to D50."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    white_xyz = np.array([white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1]])
    matrix = columns * np.linalg.solve(columns, white_xyz)
    scale = (_BRADFORD @ _D50_XYZ) / (_BRADFORD @ white_xyz)
    adapted: Matrix = np.linalg.inv(_BRADFORD) @ np.diag(scale) @ _BRADFORD @ matrix
    return adapted


def srgb_curve() -> bytes:
    """Return sRGB's transfer curve as its parameters (function type 3)."""
    numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + b"".join(map(_fixed, numbers))


def gamma_curve(gamma: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", 0, 0) + _fixed(gamma)


def table_curve(values: Sequence[float]) -> bytes:
    numbers = [round(65535 * value) for value in values]
    return b"curv" + bytes(4) + struct.pack(f">I{len(numbers)}H", len(numbers), *numbers)


def srgb_decoded(encoded: npt.ArrayLike) -> Matrix:
    """Return linear samples of encoded ones, 0..1."""
    samples = np.asarray(encoded, np.float64)
    return np.where(samples <= 0.04045, samples / 12.92, ((samples + 0.055) / 1.055) ** 2.4)


def srgb_encoded(linear: npt.ArrayLike) -> Matrix:
    samples = np.clip(np.asarray(linear, np.float64), 0, 1)
    return np.where(samples <= 0.0031308, samples * 12.92, 1.055 * samples ** (1 / 2.4) - 0.055)


def rgb_profile(
    primaries: Primaries, white: tuple[float, float], curve: bytes, name: str = "made for a test"
) -> bytes:
    """Return a display profile of a matrix and one curve for all channels."""
    columns = to_xyz(primaries, white).T
    tags = {b"desc": _text(name), b"wtpt": _xyz(_D50_XYZ)}
    for channel, column in zip(b"rgb", columns, strict=True):
        letter = bytes((channel,))
        tags |= {letter + b"XYZ": _xyz(column), letter + b"TRC": curve}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(curve: bytes, name: str = "grey made for a test") -> bytes:
    tags = {b"desc": _text(name), b"wtpt": _xyz(_D50_XYZ), b"kTRC": curve}
    return _profile(b"mntr", b"GRAY", b"XYZ ", tags)


def cmyk_profile() -> bytes:
    """Return a press profile whose every ink, of 100 %, is L* = 50 with no colour; paper is white.

    A table of 2 levels an ink: L* = 100 where all are 0, 50 where any is 100 %.
    """
    grid = [(100, 128, 128) if not any(inks) else (50, 128, 128) for inks in np.ndindex(2, 2, 2, 2)]
    lightness = bytes(byte for level, a, b in grid for byte in (round(level * 2.55), a, b))
    ramp = bytes(range(256))
    identity = b"".join(_fixed(value) for value in np.eye(3).ravel())
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + ramp * 4 + lightness + ramp * 3
    tags = {b"desc": _text("press made for a test"), b"wtpt": _xyz(_D50_XYZ), b"A2B0": table}
    return _profile(b"prtr", b"CMYK", b"Lab ", tags)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    start = 128 + 4 + 12 * len(tags)
    directory, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        directory += struct.pack(">4sII", name, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s", start + len(body), bytes(4), 0x04200000, kind, space, connection,
        bytes(12), b"acsp",
    ).ljust(68, b"\0")  # fmt: skip
    header += b"".join(map(_fixed, _D50_XYZ))
    return header.ljust(128, b"\0") + directory + body


def _fixed(number: float) -> bytes:
    return struct.pack(">i", round(number * 65536))


def _xyz(values: npt.ArrayLike) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, np.asarray(values)))


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(encoded), 28) + encoded
