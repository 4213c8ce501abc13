"""Confidence: what an ensemble's map tells about where it is wrong.

Either a stated function of the spread alone, or a probability from cues whose weights were fitted
where the true depth is known (docs/lab.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from redepth.config import ConfidenceMapping
from redepth.geometry.alignment import fit_affine
from redepth.labelling.quantiles import range_between, values_where

DoubleMap = npt.NDArray[np.float64]
SMALLEST_CUE = 1e-6


class Cue(StrEnum):
    """What may tell where a refined map is wrong. All are unchanged by scale and shift of the map.

    SPREAD: standard deviation over the aligned members, over the map's range.
    SLOPE: gradient of the refined map a pixel, over its range: what one map tells by itself.
    DRIFT: |aligned refined - coarse| over the coarse range: how far refining moved a pixel.
    """

    SPREAD = "spread"
    SLOPE = "slope"
    DRIFT = "drift"


def cues_of(
    spread_hw: npt.NDArray[np.floating],
    refined_hw: npt.NDArray[np.floating],
    coarse_hw: npt.NDArray[np.floating],
    *,
    is_metric: bool = False,
) -> dict[Cue, DoubleMap]:
    """Return the cues of an ensemble's map, float64 [H, W] >= 0 each; larger is less sure.

    Args:
        spread_hw, refined_hw, coarse_hw: [H, W], in one unit; no range counts as the smallest.
            NaN where nothing is known: there the cues are NaN too.
        is_metric: whether they are metres: DRIFT is then taken without alignment.
    """
    map_hw = np.asarray(refined_hw, dtype=np.float64)
    known_hw = np.isfinite(map_hw) & np.isfinite(coarse_hw)
    down_hw, right_hw = np.gradient(map_hw)
    if not known_hw.all():
        # What lies beyond the far limit has no slope to its neighbours, and takes none from them.
        down_hw, right_hw = (
            np.where(known_hw, np.nan_to_num(slope_hw), np.nan) for slope_hw in (down_hw, right_hw)
        )
    free = not is_metric and bool(known_hw.any())
    aligned_hw = fit_affine(map_hw, coarse_hw, known_hw).apply(map_hw) if free else map_hw
    moved_hw = np.abs(aligned_hw - coarse_hw)
    map_range = max(range_of(map_hw), float(np.finfo(np.float32).tiny))
    coarse_range = max(range_of(coarse_hw), float(np.finfo(np.float32).tiny))
    return {
        Cue.SPREAD: np.asarray(spread_hw, dtype=np.float64) / map_range,
        Cue.SLOPE: np.hypot(down_hw, right_hw) / map_range,
        Cue.DRIFT: moved_hw / coarse_range,
    }


def range_of(map_hw: npt.NDArray[np.floating]) -> float:
    """Return the 95 % minus the 5 % quantile of the finite values; NaN if there are none."""
    known_n = values_where(map_hw, np.isfinite(map_hw))
    return range_between(known_n, 0.05, 0.95) if known_n.size else float("nan")


def confidence_by_spread(spread_hw: DoubleMap, refined_hw: DoubleMap, tau: float) -> DoubleMap:
    """Return exp(-spread / (tau * range)), range = 95 % - 5 % quantile of the refined map.

    In [0, 1], falling with the spread, unchanged by scale and shift of the map. A map without
    range has no confidence: NaN.
    """
    whole = range_of(refined_hw)
    if not whole > 0.0:
        return np.full(spread_hw.shape, np.nan)
    exponent_hw: DoubleMap = spread_hw / (-tau * whole)
    return np.exp(exponent_hw, out=exponent_hw)


def confidence_by_cues(cues: Mapping[Cue, DoubleMap], mapping: ConfidenceMapping) -> DoubleMap:
    """Return P(max(d/t, t/d) < within) = 1 / (1 + exp(-(intercept + sum_c weight_c ln(cue_c)))).

    A cue of 0 counts as 1e-6. In [0, 1], unchanged by scale and shift of the map.
    """
    from scipy.special import expit

    weights = mapping.weights()
    logit = sum(weights[cue] * np.log(np.maximum(cues[cue], SMALLEST_CUE)) for cue in Cue)
    probability_hw: DoubleMap = expit(mapping.intercept + logit)
    return probability_hw
