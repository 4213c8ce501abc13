"""Ground truth in a map's own numbers, where intervals are stored and tested.

The alignment is the least that a map's kind leaves free, in its own space: scale and shift of an
affine-invariant map by least squares, nothing of a metric one (one scale where ground truth has
another unit than metres). It is inverted, and brings the truth to the map.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from redepth.confidence.cues import positive_range
from redepth.datasets.ground_truth import METRE, GroundTruth, GroundTruthKind
from redepth.geometry.alignment import fit_affine
from redepth.types import DepthKind

Doubles = npt.NDArray[np.float64]
FloatMap = npt.NDArray[np.floating]

WORDS = (
    "after least-squares scale and shift in the map's own space; of metric depth as it is, of "
    "ground truth in another unit times one scale"
)


def truth_in_own_numbers(map_hw: FloatMap, kind: DepthKind, truth: GroundTruth) -> Doubles:
    """Return the truth as a map of this kind would have it, float64 [H, W].

    Args:
        map_hw: at the ground truth's size.

    Returns:
        NaN outside of the truth's mask, and everywhere where the map runs against the truth.
    """
    own_hw = np.where(truth.mask_hw, _in_space(kind, truth), np.nan)
    known_hw = np.isfinite(own_hw) & np.isfinite(map_hw)
    if not known_hw.any():
        return np.full_like(own_hw, np.nan)
    if kind.is_metric:
        is_metres = truth.unit == METRE and truth.kind is GroundTruthKind.DEPTH
        ratio = 1.0 if is_metres else float(np.median(map_hw[known_hw] / own_hw[known_hw]))
        return own_hw * ratio
    fit = fit_affine(map_hw, own_hw, known_hw)
    return (own_hw - fit.shift) / fit.scale if fit.scale > 0 else np.full_like(own_hw, np.nan)


def error_in_own_numbers(map_hw: FloatMap, own_truth_hw: Doubles, kind: DepthKind) -> Doubles:
    """Return how far a map is from its truth, in the unit in which intervals are fitted.

    Args:
        own_truth_hw: of `truth_in_own_numbers`.

    Returns:
        |map - truth| over the map's 5 % to 95 % range; of metric depth |ln(map / truth)|.
    """
    values_hw = np.asarray(map_hw, dtype=np.float64)
    if not kind.is_metric:
        return np.asarray(np.abs(values_hw - own_truth_hw) / positive_range(values_hw))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.abs(np.log(values_hw / own_truth_hw)))


def _in_space(kind: DepthKind, truth: GroundTruth) -> Doubles:
    """Return the truth as depth or as disparity, whichever the kind is."""
    values_hw = truth.map_hw.astype(np.float64)
    is_disparity = truth.kind is GroundTruthKind.DISPARITY
    if is_disparity == kind.grows_towards_camera:
        return values_hw
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values_hw > 0, 1.0 / values_hw, np.nan)
