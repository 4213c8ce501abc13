"""npy: a map as NumPy writes it: float32 [H, W] or [H, W, C], NaN where invalid; codes uint8."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from redepth.exports.part import EncodedMap, ExportSettings, MapFacts, MapFormat
from redepth.quantities import AnyMap


def encode(values: AnyMap) -> bytes:
    """Return the bytes of an NPY file."""
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(values), allow_pickle=False)
    return file.getvalue()


def decode(content: bytes) -> AnyMap:
    """Read a map back, bit for bit."""
    values: AnyMap = np.load(io.BytesIO(content), allow_pickle=False)
    return values


def _encode(values: AnyMap, facts: MapFacts, settings: ExportSettings) -> EncodedMap:
    return EncodedMap({"npy": encode(values)})


def _decode(files: Mapping[str, bytes]) -> AnyMap:
    return decode(files["npy"])


FORMAT = MapFormat(
    name="npy", files="`QUANTITY/NAME.npy`", suffixes=("npy",), encode=_encode, decode=_decode
)
