"""The range of a map between two quantiles of its pixels, by `numpy.quantile`'s linear rule."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating]


def values_where(map_hw: Values, known_hw: npt.NDArray[np.bool_]) -> Values:
    """Return the values of a map where it is known, [n]; a view of it where that is everywhere."""
    return map_hw.ravel() if known_hw.all() else map_hw[known_hw]


def range_between(values_n: Values, low_share: float, high_share: float) -> float:
    """Return the difference of two quantiles, from the two values beside each.

    These alone are put in their places, in half of the time that `numpy.quantile` takes.

    Args:
        values_n: finite, one at least, in any order.
        low_share, high_share: in [0, 1].
    """
    wanted = {n for share in (low_share, high_share) for n in _neighbours(values_n.size, share)}
    return range_of_sorted(np.partition(values_n, sorted(wanted)), low_share, high_share)


def range_of_sorted(sorted_n: Values, low_share: float, high_share: float) -> float:
    """Return the same of values in their order."""
    return _quantile(sorted_n, high_share) - _quantile(sorted_n, low_share)


def _quantile(sorted_n: Values, share: float) -> float:
    """Interpolate in float64, from the nearer neighbour, as NumPy does."""
    before, after = _neighbours(sorted_n.size, share)
    low, high = float(sorted_n[before]), float(sorted_n[after])
    way = share * (sorted_n.size - 1) - before
    return low + (high - low) * way if way < 0.5 else high - (high - low) * (1.0 - way)


def _neighbours(size: int, share: float) -> tuple[int, int]:
    before = math.floor(share * (size - 1))
    return before, min(before + 1, size - 1)
