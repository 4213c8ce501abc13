"""npy: a map as NumPy writes it, float32 [H, W], NaN where invalid."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from redepth.exports.part import EncodedMap, ExportSettings, MapFacts, MapFormat
from redepth.types import FloatMap


def encode(map_hw: FloatMap) -> bytes:
    """Return the bytes of an NPY file."""
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(map_hw, dtype=np.float32), allow_pickle=False)
    return file.getvalue()


def decode(content: bytes) -> FloatMap:
    """Read a map back, bit for bit."""
    map_hw: FloatMap = np.load(io.BytesIO(content), allow_pickle=False)
    return map_hw


def _encode(map_hw: FloatMap, facts: MapFacts, settings: ExportSettings) -> EncodedMap:
    return EncodedMap({"npy": encode(map_hw)})


def _decode(files: Mapping[str, bytes]) -> FloatMap:
    return decode(files["npy"])


FORMAT = MapFormat(
    name="npy", files="`QUANTITY/NAME.npy`", suffixes=("npy",), encode=_encode, decode=_decode
)
