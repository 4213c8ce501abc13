"""Before and after on the same images: how much it changed, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class PairedChange:
    """How a figure changed over images that were measured twice.

    Attributes:
        num_images: those where both figures exist.
        before, after: the means.
        change: (after - before) / before.
        low, high: 95 % interval of the change, from Student's t over the images' differences, the
            mean before taken as known; NaN for fewer than two images.
        share_better: images whose figure improved.
    """

    num_images: int
    before: float
    after: float
    change: float
    low: float
    high: float
    share_better: float

    @property
    def improved(self) -> bool:
        """Whether the whole interval lies on the better side, for figures that should fall."""
        return self.high < 0.0

    @property
    def worsened(self) -> bool:
        """Whether the whole interval lies on the worse side, for figures that should fall."""
        return self.low > 0.0


def paired_change(
    before: Sequence[float], after: Sequence[float], *, larger_is_better: bool = False
) -> PairedChange | None:
    """Compare two figures of the same images, NaN left out; None where no image has both.

    Raises:
        ValueError: the lengths differ.
    """
    first, second = (np.asarray(v, dtype=np.float64) for v in (before, after))
    if first.shape != second.shape:
        raise ValueError(f"cannot pair {first.size} figures with {second.size}")
    kept = np.isfinite(first) & np.isfinite(second)
    if not kept.any():
        return None
    first, second = first[kept], second[kept]
    difference = second - first
    scale = float(first.mean()) or math.nan
    change, half = float(difference.mean()) / scale, _half_interval(difference) / abs(scale)
    better = difference > 0 if larger_is_better else difference < 0
    return PairedChange(
        num_images=int(kept.sum()),
        before=float(first.mean()),
        after=float(second.mean()),
        change=change,
        low=change - half,
        high=change + half,
        share_better=float(better.mean()),
    )


def _half_interval(difference_n: np.ndarray) -> float:
    """Return half the width of the 95 % t interval of the mean."""
    from scipy.stats import t

    count = difference_n.size
    if count < 2:
        return math.nan
    return float(t.ppf(0.975, count - 1) * difference_n.std(ddof=1) / math.sqrt(count))
