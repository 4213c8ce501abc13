"""Do depth's edges lie where the true ones lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
BoolMap = npt.NDArray[np.bool_]

CANNY_SIGMA_PX = math.sqrt(2.0)
CANNY_THRESHOLDS = 0.1, 0.2
FARTHEST_PX = 10.0
TOLERANCE_PX = 1.5  # an edge is found if one of the 8 neighbours is one


@dataclass(frozen=True, slots=True)
class BoundaryMetrics:
    """Errors of depth edges; NaN where there is nothing to measure.

    Attributes:
        accuracy_px: mean distance of a predicted edge pixel to the nearest true one, each at most
            10 px; NaN without predicted edges.
        completeness_px: the same from true to predicted edges; 10 if none is predicted. DBE_comp.
        precision, recall: share of predicted and of true edge pixels with one of the others in
            the 3 x 3 pixels around.
        f1: their harmonic mean; all of these are NaN without true edges.
        near_accuracy_px: as accuracy_px, of the predicted edge pixels that have a true one nearer
            than 10 px alone; 10 if none has. DBE_acc as published: invented edges far from any
            true one do not count, so read it beside precision.
    """

    accuracy_px: float
    completeness_px: float
    precision: float
    recall: float
    f1: float
    near_accuracy_px: float


def depth_edges(depth_hw: FloatArray) -> BoolMap:
    """Return where depth is discontinuous: Canny on the min-max normalised map, bool [H, W]."""
    from skimage.feature import canny

    low, high = float(depth_hw.min()), float(depth_hw.max())
    if not high > low:
        return np.zeros(depth_hw.shape, dtype=bool)
    weak, strong = CANNY_THRESHOLDS
    edges: BoolMap = canny(
        np.asarray((depth_hw - low) / (high - low), dtype=np.float64),
        sigma=CANNY_SIGMA_PX,
        low_threshold=weak,
        high_threshold=strong,
    )
    return edges


def depth_or_disparity_edges(depth_hw: FloatArray) -> BoolMap:
    """Return where depth or its inverse is discontinuous, bool [H, W].

    Depth shows the edges of what is far, disparity those of what is near.

    Args:
        depth_hw: > 0 and finite everywhere.
    """
    return depth_edges(depth_hw) | depth_edges(1.0 / depth_hw)


def boundary_metrics(edges_hw: BoolMap, true_edges_hw: BoolMap) -> BoundaryMetrics:
    """Compare predicted with true edges; see `BoundaryMetrics`.

    Source: Koch et al. 2018 (iBims-1), depth boundary errors with truncated chamfer distance.
    """
    if not true_edges_hw.any():
        return BoundaryMetrics(*[math.nan] * 6)
    to_predicted = _distance_to(edges_hw)[true_edges_hw]
    recall = float((to_predicted <= TOLERANCE_PX).mean())
    if not edges_hw.any():
        return BoundaryMetrics(math.nan, FARTHEST_PX, math.nan, recall, 0.0, FARTHEST_PX)
    to_true = _distance_to(true_edges_hw)[edges_hw]
    precision = float((to_true <= TOLERANCE_PX).mean())
    both = precision + recall
    near = to_true[to_true < FARTHEST_PX]
    return BoundaryMetrics(
        accuracy_px=float(to_true.mean()),
        completeness_px=float(to_predicted.mean()),
        precision=precision,
        recall=recall,
        f1=2.0 * precision * recall / both if both > 0 else 0.0,
        near_accuracy_px=float(near.mean()) if near.size else FARTHEST_PX,
    )


def _distance_to(edges_hw: BoolMap) -> npt.NDArray[np.float64]:
    """Return each pixel's distance to the nearest edge pixel, at most FARTHEST_PX."""
    from scipy.ndimage import distance_transform_edt

    if not edges_hw.any():
        return np.full(edges_hw.shape, FARTHEST_PX)
    distance: npt.NDArray[np.float64] = distance_transform_edt(~edges_hw)
    return np.minimum(distance, FARTHEST_PX)
