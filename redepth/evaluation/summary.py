"""A whole set in numbers: means over images, how sure they are, and what confidence knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redepth.evaluation.evaluate import ImageScores
from redepth.evaluation.scores import TITLES, larger_is_better
from redepth.metrics.bootstrap import MeanInterval, bootstrap_mean
from redepth.metrics.calibration import (
    ReliabilityBin,
    expected_calibration_error,
    reliability_bins,
)
from redepth.metrics.sparsification import Sparsification


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One metric over all images of a set.

    Attributes:
        metric: name of a field of `Scores`.
        coarse, refined: means.
        change: mean of refined - coarse, image by image.
        share_better: of the images that have it, those where it is better.
    """

    metric: str
    coarse: MeanInterval
    refined: MeanInterval
    change: MeanInterval
    share_better: float

    @property
    def relative_change(self) -> float:
        """The change over the coarse mean; NaN where that is 0."""
        return self.change.mean / self.coarse.mean if self.coarse.mean else float("nan")

    @property
    def verdict(self) -> str:
        """Say "better" or "worse" if the whole interval of the change lies on that side."""
        low, high = self.change.low, self.change.high
        if larger_is_better(self.metric):
            low, high = -high, -low
        return "better" if high < 0 else "worse" if low > 0 else "not told apart"


@dataclass(frozen=True, slots=True)
class Reliability:
    """What the stored confidence is worth as a probability of being within a factor.

    Attributes:
        within: the factor; a pixel is right if max(d / t, t / d) < within.
        ece: expected calibration error.
        share_right: of all pixels.
    """

    within: float
    ece: float
    share_right: float
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Mean sparsification over images; see `Sparsification`."""

    num_images: int
    curve_k: npt.NDArray[np.float64]
    oracle_k: npt.NDArray[np.float64]


def score_rows(images: Sequence[ImageScores], seed: int = 0) -> tuple[ScoreRow, ...]:
    """Return every metric that at least one image has."""
    rows = (_row(metric, images, seed) for metric in TITLES)
    return tuple(row for row in rows if row.refined.num_images)


def mean_ause(images: Sequence[ImageScores], seed: int = 0) -> MeanInterval:
    """Return the mean area under the sparsification error of the images with confidence."""
    return bootstrap_mean([image.ause for image in images], seed)


def mean_curves(curves: Sequence[Sparsification | None]) -> Curves | None:
    """Return the mean sparsification curves of the images that have one; None where none has."""
    found = [one for one in curves if one is not None]
    if not found:
        return None
    return Curves(
        num_images=len(found),
        curve_k=np.mean([one.curve_k for one in found], axis=0),
        oracle_k=np.mean([one.oracle_k for one in found], axis=0),
    )


def stored_reliability(images: Sequence[ImageScores], within: float) -> Reliability | None:
    """Take the stored confidence for a probability and see; None where no image has one."""
    samples = [image.pixels for image in images if image.pixels is not None]
    if not samples:
        return None
    confidence_n = np.concatenate([sample.confidence_n for sample in samples])
    factor_n = np.concatenate([sample.factor_n for sample in samples])
    known_n = np.isfinite(confidence_n)
    return reliability(confidence_n[known_n], factor_n[known_n], within) if known_n.any() else None


def reliability(
    probability_n: npt.NDArray[np.floating], factor_n: npt.NDArray[np.floating], within: float
) -> Reliability:
    """Return how well a probability of being within a factor does on pixels."""
    right_n = factor_n < within
    bins = reliability_bins(probability_n, right_n)
    return Reliability(within, expected_calibration_error(bins), float(right_n.mean()), bins)


def _row(metric: str, images: Sequence[ImageScores], seed: int) -> ScoreRow:
    coarse = np.array([getattr(image.coarse, metric) for image in images], dtype=np.float64)
    refined = np.array([getattr(image.refined, metric) for image in images], dtype=np.float64)
    change = refined - coarse
    known = change[np.isfinite(change)]
    better = known > 0 if larger_is_better(metric) else known < 0
    return ScoreRow(
        metric=metric,
        coarse=bootstrap_mean(coarse.tolist(), seed),
        refined=bootstrap_mean(refined.tolist(), seed),
        change=bootstrap_mean(change.tolist(), seed),
        share_better=float(better.mean()) if known.size else float("nan"),
    )
