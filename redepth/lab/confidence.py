"""What an ensemble's cues know of the error: fitted on tuning scenes, tested on held-out ones.

The probability and its fit are those of `redepth calibrate` (`redepth.evaluation.calibrate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redepth.confidence.mapping import ConfidenceMapping
from redepth.confidence.probability import confidence_by_cues
from redepth.evaluation.calibrate import CalibrationSettings, CuedPixels, fit_mapping
from redepth.evaluation.summary import Reliability, mean_curves, reliability
from redepth.lab.measurement import LAB_CUES, Floats, PixelCues
from redepth.metrics.paired import PairedChange, paired_change
from redepth.metrics.sparsification import Sparsification, sparsify

Doubles = npt.NDArray[np.float64]

WITHINS = 1.25, 1.05
GOAL_AUSE = 0.6
GOAL_ECE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """How well one order of the pixels finds the error, over images.

    Attributes:
        name: of the order.
        ause: mean over images of the area under the sparsification error, over that of a random
            order (1); 0 is an oracle.
        curve_k, oracle_k: mean curves.
        against_slope: change of each image's value against the order by slope.
    """

    name: str
    ause: float
    curve_k: Doubles
    oracle_k: Doubles
    against_slope: PairedChange | None


@dataclass(frozen=True, slots=True)
class FittedCues:
    """A mapping from some cues to a probability, and what it is worth on held-out pixels."""

    cues: tuple[str, ...]
    mapping: ConfidenceMapping
    reliability: Reliability

    @property
    def name(self) -> str:
        return " + ".join(self.cues)


@dataclass(frozen=True, slots=True, eq=False)
class ConfidenceReport:
    """What the ensemble's spread knows of the error.

    Attributes:
        num_tuning, num_held_out: images.
        fits: of each set of cues and each factor.
        rankings: the orders by each cue and by the probabilities, `slope` among them.
    """

    num_tuning: int
    num_held_out: int
    fits: tuple[FittedCues, ...]
    rankings: tuple[Ranking, ...]


CUE_SETS = (("spread",), ("slope",), LAB_CUES)
SLOPE = "slope"


def report_confidence(
    tuning: Sequence[PixelCues], held_out: Sequence[PixelCues]
) -> ConfidenceReport | None:
    """Fit every set of cues on tuning images and test it on held-out ones; None without images."""
    if not tuning or not held_out:
        return None
    fits = [_fit(tuning, held_out, cues, within) for within in WITHINS for cues in CUE_SETS]
    orders: dict[str, Sequence[npt.NDArray[np.floating]]] = {}
    orders |= {cue: [image.cues[cue] for image in held_out] for cue in LAB_CUES}
    for fit in fits:
        if fit.mapping.within == WITHINS[-1] and len(fit.cues) > 1:
            orders[fit.name] = [-probability(image, fit.mapping) for image in held_out]
    return ConfidenceReport(
        num_tuning=len(tuning),
        num_held_out=len(held_out),
        fits=tuple(fits),
        rankings=_rank(orders, held_out),
    )


def fit_confidence(
    images: Sequence[PixelCues], cues: tuple[str, ...], within: float
) -> ConfidenceMapping:
    """Return the probability of "within" from some cues, fitted to all pixels alike."""
    pixels = [
        CuedPixels(
            {cue: image.cues[cue].astype(np.float64) for cue in cues},
            np.full(len(image.factor_n), np.nan),
            image.factor_n,
            image.error_n,
        )
        for image in images
    ]
    return fit_mapping(pixels, CalibrationSettings(within, cues, products=False))


def probability(image: PixelCues, mapping: ConfidenceMapping) -> Doubles:
    """Return the probability of each pixel, float64 [N] in [0, 1]."""
    cues = {cue: values_n.astype(np.float64) for cue, values_n in image.cues.items()}
    return confidence_by_cues(cues, mapping)


def _fit(
    tuning: Sequence[PixelCues],
    held_out: Sequence[PixelCues],
    cues: tuple[str, ...],
    within: float,
) -> FittedCues:
    mapping = fit_confidence(tuning, cues, within)
    probability_n = np.concatenate([probability(image, mapping) for image in held_out])
    return FittedCues(cues, mapping, reliability(probability_n, _factors(held_out), within))


def _rank(
    orders: Mapping[str, Sequence[npt.NDArray[np.floating]]], images: Sequence[PixelCues]
) -> tuple[Ranking, ...]:
    found = {
        name: [sparsify(i.error_n, u) for i, u in zip(images, uncertainties, strict=True)]
        for name, uncertainties in orders.items()
    }
    slope = [image.ause for image in found[SLOPE]]
    return tuple(_ranking(name, curves, slope) for name, curves in found.items())


def _ranking(name: str, images: Sequence[Sparsification], slope: Sequence[float]) -> Ranking:
    values = [image.ause for image in images]
    curves = mean_curves(images)
    assert curves is not None, "images are held out"
    return Ranking(
        name=name,
        ause=float(np.nanmean(values)),
        curve_k=curves.curve_k,
        oracle_k=curves.oracle_k,
        against_slope=None if name == SLOPE else paired_change(slope, values),
    )


def _factors(images: Sequence[PixelCues]) -> Floats:
    return np.concatenate([image.factor_n for image in images])
