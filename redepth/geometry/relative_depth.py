"""A depth to look at, of a label whose scale and shift are unknown."""

from __future__ import annotations

import numpy as np

from redepth.types import DepthKind, FloatMap

METRES = "metres"


def unit_words(far_ratio: float) -> str:
    """Say what the unit of `relative_depth` is."""
    return (
        f"none: scale and shift are unknown; the nearest point is put at 1, the farthest at "
        f"{far_ratio:g}"
    )


def relative_depth(label_hw: FloatMap, kind: DepthKind, far_ratio: float) -> FloatMap:
    """Put a label's nearest pixel at depth 1 and its farthest at `far_ratio`, float32 [H, W].

    A disparity is spread evenly over inverse depth, a depth over depth; which shape is right nobody
    knows, since the shift is free. A constant label is at 1.

    Args:
        label_hw: of an affine kind.
        far_ratio: > 1.
    """
    finite = label_hw[np.isfinite(label_hw)].astype(np.float64)
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    share_hw = (label_hw - low) / (high - low or 1.0)
    if kind is DepthKind.AFFINE_DISPARITY:
        share_hw = share_hw if high > low else np.ones_like(share_hw)
        inverse_hw = 1 / far_ratio + share_hw * (1 - 1 / far_ratio)
        return (1 / inverse_hw).astype(np.float32)
    return (1 + share_hw * (far_ratio - 1)).astype(np.float32)
