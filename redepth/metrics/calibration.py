"""Is a probability one: of the pixels that are given 0.8, are 80 % right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

NUM_BINS = 15
RIDGE = 1e-6
LINEAR_RIDGE = 1e-2
_LEAST_DEVIATION = 1e-9


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

    `redepth.confidence.probability` applies it, to terms of cues.
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


@dataclass(frozen=True, slots=True)
class Linear:
    """y = intercept + sum_c weight_c x_c."""

    intercept: float
    weights: tuple[float, ...]

    def apply(self, rows_nc: DoubleArray) -> DoubleArray:
        """Return y of rows, [N]."""
        return np.asarray(self.intercept + rows_nc @ np.asarray(self.weights))


def fit_linear(
    images_nc: Sequence[DoubleArray],
    targets_n: Sequence[DoubleArray],
    *,
    within_images: bool = False,
) -> Linear:
    """Return the ridge regression of targets on columns, every image with the same weight.

    Columns are standardised first; the ridge is 0.01 of their variance, so that columns which say
    the same share a weight.

    Args:
        images_nc: float64 [N, C] of each image.
        targets_n: float64 [N] of each image.
        within_images: fit the order inside of images alone: rows and targets are taken less their
            image's means, and the intercept is that of the means.
    """
    mean_c = np.concatenate(images_nc).mean(axis=0)
    mean = float(np.mean([target_n.mean() for target_n in targets_n]))
    centres = [own_nc.mean(axis=0) if within_images else mean_c for own_nc in images_nc]
    centred = [own_nc - centre_c for own_nc, centre_c in zip(images_nc, centres, strict=True)]
    deviation_c = np.maximum(np.concatenate(centred).std(axis=0), _LEAST_DEVIATION)
    gram_cc: DoubleArray = LINEAR_RIDGE * np.eye(len(mean_c))
    moment_c: DoubleArray = np.zeros(len(mean_c))
    for own_nc, target_n in zip(centred, targets_n, strict=True):
        standard_nc = own_nc / deviation_c
        from_centre_n = target_n - (target_n.mean() if within_images else mean)
        gram_cc += standard_nc.T @ standard_nc / (len(own_nc) * len(centred))
        moment_c += standard_nc.T @ from_centre_n / (len(own_nc) * len(centred))
    weights_c = np.linalg.solve(gram_cc, moment_c) / deviation_c
    return Linear(mean - float(mean_c @ weights_c), tuple(float(w) for w in weights_c))
