"""How sure a mean over images is: resample the images and see."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
NUM_RESAMPLES = 2000
_BATCH = 100


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """A mean over images, and the 95 % interval in which resampled images put it.

    Attributes:
        num_images: those that have the figure.
        mean: NaN if none has.
        low, high: NaN for fewer than two images.
    """

    num_images: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RatioInterval:
    """A ratio of two means over the same images, and its 95 % interval."""

    ratio: float
    low: float
    high: float


def bootstrap_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> RatioInterval:
    """Return mean / mean with its percentile bootstrap interval; images are resampled in pairs.

    Raises:
        ValueError: no image, or not as many numerators as denominators.
    """
    pairs_n2 = np.array(list(zip(numerators, denominators, strict=True)), dtype=np.float64)
    if not len(pairs_n2):
        raise ValueError("a ratio over images needs one at least")
    rng = np.random.default_rng(0)
    chosen = rng.integers(len(pairs_n2), size=(NUM_RESAMPLES, len(pairs_n2)))
    top, bottom = pairs_n2[chosen].mean(axis=1).T
    low, high = np.quantile(top / bottom, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    top_mean, bottom_mean = pairs_n2.mean(axis=0)
    return RatioInterval(float(top_mean / bottom_mean), float(low), float(high))


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> MeanInterval:
    """Return the mean of the finite values with its percentile bootstrap interval.

    For a paired change, give it the differences. Images are resampled, since pixels of one image
    are no independent measurements.

    Source: Efron 1979.
    """
    from scipy.stats import bootstrap

    found = np.asarray(values, dtype=np.float64)
    found = found[np.isfinite(found)]
    if found.size < 2:
        mean = float(found[0]) if found.size else math.nan
        return MeanInterval(int(found.size), mean, math.nan, math.nan)
    interval = bootstrap(
        (found,),
        np.mean,
        n_resamples=NUM_RESAMPLES,
        batch=_BATCH,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return MeanInterval(
        int(found.size), float(found.mean()), float(interval.low), float(interval.high)
    )
