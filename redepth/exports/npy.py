"""npy: a map as NumPy writes it, float32 [H, W], NaN where invalid."""

from __future__ import annotations

import io

import numpy as np

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
