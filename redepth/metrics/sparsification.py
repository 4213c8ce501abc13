"""Does a confidence know where the error is: take the least sure pixels away and see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
DoubleArray = npt.NDArray[np.float64]

NUM_STEPS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Sparsification:
    """What is left of an image's mean error when its least sure pixels are taken away.

    Attributes:
        curve_k: float64 [50], mean error of what is left, over the mean error of all; entry k is
            after a share k / 50 was taken away, the least sure first.
        oracle_k: the same, the largest error first: the best that any confidence can do.
    """

    curve_k: DoubleArray
    oracle_k: DoubleArray

    @property
    def ause(self) -> float:
        """Return the area between curve and oracle, over that of a random order (the constant 1).

        0 is an oracle, 1 knows nothing, above 1 misleads. NaN where all errors are alike.
        """
        random_area = float(np.mean(1.0 - self.oracle_k))
        if random_area <= 0.0:
            return float("nan")
        return float(np.mean(self.curve_k - self.oracle_k)) / random_area

    @property
    def aurg(self) -> float:
        """Return the area below a random order: the mean share of the error that goes away.

        0 knows nothing, below 0 misleads; an oracle's is that of the errors themselves. Source:
        Poggi et al. 2020, area under the random gain.
        """
        return float(np.mean(1.0 - self.curve_k))


def sparsify(error_n: FloatArray, uncertainty_n: FloatArray) -> Sparsification:
    """Order pixels by falling uncertainty and return the two curves.

    Pixels of one uncertainty are taken away in the order of the array, whatever their error.

    Args:
        error_n: float [N] >= 0, N >= 50, not all 0.
        uncertainty_n: float [N], larger is less sure; only its order counts.

    Raises:
        ValueError: too few pixels, shapes that differ, or no error at all.

    Source: Ilg et al. 2018, area under the sparsification error.
    """
    if error_n.shape != uncertainty_n.shape or error_n.size < NUM_STEPS:
        raise ValueError(
            f"expected two arrays [N >= {NUM_STEPS}], got {error_n.shape}, {uncertainty_n.shape}"
        )
    errors = np.asarray(error_n, dtype=np.float64).ravel()
    if not errors.any():
        raise ValueError("no error to sparsify: every pixel is exact")
    by_uncertainty = errors[np.argsort(-uncertainty_n.ravel(), kind="stable")]
    by_error = np.sort(errors)[::-1]
    return Sparsification(_means_of_the_rest(by_uncertainty), _means_of_the_rest(by_error))


def _means_of_the_rest(ordered_n: DoubleArray) -> DoubleArray:
    """Return the mean from each of the steps' places to the end, over the mean of all."""
    places = np.arange(NUM_STEPS) * ordered_n.size // NUM_STEPS
    sums = np.cumsum(ordered_n[::-1])[::-1]
    means: DoubleArray = sums[places] / (ordered_n.size - places)
    means /= means[0]
    return means
