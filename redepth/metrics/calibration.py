"""Is a probability one: of the pixels that are given 0.8, are 80 % right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

NUM_BINS = 15
RIDGE = 1e-6


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The pixels whose probability falls into one of the bins, at least one.

    Attributes:
        num_pixels: how many.
        predicted: their mean probability.
        observed: the share of them that is right.
    """

    num_pixels: int
    predicted: float
    observed: float


def reliability_bins(
    probability_n: FloatArray, right_n: BoolArray, num_bins: int = NUM_BINS
) -> tuple[ReliabilityBin, ...]:
    """Sort pixels into bins of equal width over [0, 1]; empty ones are left out.

    Raises:
        ValueError: no pixel, shapes that differ, or a probability outside [0, 1].
    """
    if probability_n.shape != right_n.shape or not probability_n.size:
        raise ValueError(
            f"expected two arrays [N >= 1], got {probability_n.shape}, {right_n.shape}"
        )
    if not ((probability_n >= 0.0) & (probability_n <= 1.0)).all():
        raise ValueError("a probability lies outside [0, 1], or is NaN")
    bin_n = np.minimum((probability_n * num_bins).astype(np.int64), num_bins - 1)
    counts = np.bincount(bin_n, minlength=num_bins)
    predicted = np.bincount(bin_n, weights=probability_n, minlength=num_bins)
    observed = np.bincount(bin_n, weights=right_n, minlength=num_bins)
    return tuple(
        ReliabilityBin(
            int(counts[k]), float(predicted[k] / counts[k]), float(observed[k] / counts[k])
        )
        for k in np.flatnonzero(counts)
    )


def expected_calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """Return the mean over pixels of |predicted - observed| of their bin. 0 is calibrated.

    Source: Guo et al. 2017.
    """
    total = sum(entry.num_pixels for entry in bins)
    return sum(e.num_pixels * abs(e.predicted - e.observed) for e in bins) / total


@dataclass(frozen=True, slots=True)
class Logistic:
    """P(right) = 1 / (1 + exp(-(intercept + sum_c weight_c x_c))).

    `redepth.labelling.confidence` applies it, to the logarithms of cues.
    """

    intercept: float
    weights: tuple[float, ...]


def fit_logistic(rows_nc: DoubleArray, right_n: BoolArray) -> Logistic:
    """Return the logistic regression of "right" on the columns, all rows alike.

    A ridge of 1e-6 keeps it finite where every row is right.

    Args:
        rows_nc: float64 [N, C].
        right_n: bool [N].
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    design = np.column_stack((np.ones(len(rows_nc)), rows_nc))
    right = right_n.astype(np.float64)

    def loss(weights: DoubleArray) -> tuple[float, DoubleArray]:
        logit = design @ weights
        value = np.mean(np.logaddexp(0.0, logit) - right * logit) + RIDGE * weights @ weights
        slope = design.T @ (expit(logit) - right) / len(right) + 2.0 * RIDGE * weights
        return float(value), slope

    found = minimize(loss, np.zeros(design.shape[1]), jac=True, method="BFGS")
    intercept, *weights = (float(value) for value in found.x)
    return Logistic(intercept, tuple(weights))
