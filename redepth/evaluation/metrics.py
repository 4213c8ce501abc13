"""The field's depth metrics, over valid pixels, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class DepthMetrics:
    """Errors of an aligned depth map; all but the deltas are better when smaller.

    Attributes:
        abs_rel: mean |d - t| / t.
        sq_rel: mean (d - t)^2 / t, in the truth's unit.
        rmse: root mean (d - t)^2, in the truth's unit.
        rmse_log: root mean (ln d - ln t)^2.
        silog: 100 * standard deviation of ln d - ln t.
        log10: mean |log10 d - log10 t|.
        delta1, delta2, delta3: share of pixels with max(d / t, t / d) < 1.25, 1.25^2, 1.25^3.
        delta_1_05: the same with 1.05, for scenes of so little relief that all is within 1.25.
    """

    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    silog: float
    log10: float
    delta1: float
    delta2: float
    delta3: float
    delta_1_05: float


def depth_metrics(
    depth_hw: npt.NDArray[np.floating],
    true_depth_hw: npt.NDArray[np.floating],
    mask_hw: npt.NDArray[np.bool_],
) -> DepthMetrics:
    """Compare an aligned depth with the truth where the mask is set and both are positive.

    Raises:
        ValueError: no pixel is left to compare.

    Source: Eigen et al. 2014, as evaluated by Re-Depth Anything.
    """
    valid = mask_hw & (depth_hw > 0) & (true_depth_hw > 0)
    depth = np.asarray(depth_hw[valid], dtype=np.float64)
    truth = np.asarray(true_depth_hw[valid], dtype=np.float64)
    if depth.size == 0:
        raise ValueError("no pixel to compare: the mask, the depth or the truth is empty")
    error = depth - truth
    log_error = np.log(depth) - np.log(truth)
    ratio = np.maximum(depth / truth, truth / depth)
    return DepthMetrics(
        abs_rel=float(np.mean(np.abs(error) / truth)),
        sq_rel=float(np.mean(error**2 / truth)),
        rmse=float(np.sqrt(np.mean(error**2))),
        rmse_log=float(np.sqrt(np.mean(log_error**2))),
        silog=float(np.std(log_error) * 100),
        log10=float(np.mean(np.abs(log_error)) / np.log(10)),
        delta1=float(np.mean(ratio < 1.25)),
        delta2=float(np.mean(ratio < 1.25**2)),
        delta3=float(np.mean(ratio < 1.25**3)),
        delta_1_05=float(np.mean(ratio < 1.05)),
    )
