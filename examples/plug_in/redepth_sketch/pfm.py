"""An export format: Portable FloatMap, which many tools for stereo and depth read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from redepth.exports.part import EncodedMap, ExportSettings, MapFacts, MapFormat
from redepth.types import FloatMap


def encode(map_hw: FloatMap, facts: MapFacts, settings: ExportSettings) -> EncodedMap:
    """Write float32, little-endian, the bottom row first."""
    height_px, width_px = map_hw.shape
    header = f"Pf\n{width_px} {height_px}\n-1.0\n".encode()
    return EncodedMap({"pfm": header + map_hw[::-1].astype("<f4").tobytes()})


def decode(files: Mapping[str, bytes]) -> FloatMap:
    """Read what `encode` wrote, bit for bit."""
    _, size, _, pixels = files["pfm"].split(b"\n", 3)
    width_px, height_px = map(int, size.split())
    return np.frombuffer(pixels, "<f4").reshape(height_px, width_px)[::-1].astype(np.float32)


PFM = MapFormat(
    name="pfm",
    files="`QUANTITY/NAME.pfm`",
    suffixes=("pfm",),
    encode=encode,
    decode=decode,
)
