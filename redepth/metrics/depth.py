"""The field's depth metrics, over valid pixels, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]


def relative_error(depth: Floats, true_depth: Floats) -> Floats:
    """Return |d - t| / t of each pixel, any shape; its mean is AbsRel."""
    error: Floats = np.abs(depth - true_depth) / true_depth
    return error


def error_factor(depth: Floats, true_depth: Floats) -> Doubles:
    """Return max(d / t, t / d) of each pixel, float64; infinite where d is not positive."""
    positive = np.maximum(np.asarray(depth, dtype=np.float64), np.finfo(np.float64).tiny)
    factor = np.maximum(positive / true_depth, true_depth / positive)
    return np.where(depth > 0, factor, np.inf)


@dataclass(frozen=True, slots=True)
class DepthMetrics:
    """Errors of an aligned depth map; all but the deltas are better when smaller.

    Attributes:
        abs_rel: mean |d - t| / t.
        sq_rel: mean (d - t)^2 / t, in the unit of t.
        rmse: root mean (d - t)^2, in the unit of t.
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
    """Compare an aligned depth with the true one where the mask is set and both are positive.

    Raises:
        ValueError: no pixel is left to compare.

    Source: Eigen et al. 2014, as evaluated by Re-Depth Anything.
    """
    valid = mask_hw & (depth_hw > 0) & (true_depth_hw > 0)
    depth = np.asarray(depth_hw[valid], dtype=np.float64)
    true_depth = np.asarray(true_depth_hw[valid], dtype=np.float64)
    if depth.size == 0:
        raise ValueError("no pixel to compare: the mask, the depth or the true depth is empty")
    error = depth - true_depth
    log_error = np.log(depth) - np.log(true_depth)
    factor = error_factor(depth, true_depth)
    return DepthMetrics(
        abs_rel=float(np.mean(relative_error(depth, true_depth))),
        sq_rel=float(np.mean(error**2 / true_depth)),
        rmse=float(np.sqrt(np.mean(error**2))),
        rmse_log=float(np.sqrt(np.mean(log_error**2))),
        silog=float(np.std(log_error) * 100),
        log10=float(np.mean(np.abs(log_error)) / np.log(10)),
        delta1=float(np.mean(factor < 1.25)),
        delta2=float(np.mean(factor < 1.25**2)),
        delta3=float(np.mean(factor < 1.25**3)),
        delta_1_05=float(np.mean(factor < 1.05)),
    )
