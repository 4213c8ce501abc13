"""From cues to a probability: fitted on tuning scenes, judged on held-out ones.

P(max(d/t, t/d) < w) = 1 / (1 + exp(-(intercept + sum_c weight_c ln(cue_c))))
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from redepth.confidence import SMALLEST_CUE, Cue
from redepth.evaluation.calibration import (
    Logistic,
    ReliabilityBin,
    expected_calibration_error,
    fit_logistic,
    reliability_bins,
)
from redepth.evaluation.paired import PairedChange, paired_change
from redepth.evaluation.sparsification import Sparsification, sparsify
from redepth.lab.measurement import Floats, PixelCues

Doubles = npt.NDArray[np.float64]

WITHINS = 1.25, 1.05
GOAL_AUSE = 0.6
GOAL_ECE = 0.05


@dataclass(frozen=True, slots=True)
class ConfidenceFit:
    """A mapping from cues to the probability that a pixel's depth is within a factor of the truth.

    Attributes:
        within: the factor w.
        cues: which are read, in the order of the weights.
        intercept, weights: see the module.
    """

    within: float
    cues: tuple[Cue, ...]
    intercept: float
    weights: tuple[float, ...]

    def probability(self, cues: Mapping[Cue, Floats]) -> Doubles:
        """Return the probability of each pixel, float64 [N] in [0, 1]."""
        return Logistic(self.intercept, self.weights).probability(_logarithms(cues, self.cues))

    def as_json(self) -> str:
        """Return the mapping as JSON text with its formula's numbers."""
        return json.dumps(asdict(self), indent=2) + "\n"


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
class Calibration:
    """A fit judged on held-out pixels: its error and its reliability bins."""

    fit: ConfidenceFit
    ece: float
    share_within: float
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ConfidenceReport:
    """What the ensemble's spread knows of the error.

    Attributes:
        num_tuning, num_held_out: images.
        calibrations: of each set of cues and each factor.
        rankings: the orders by each cue and by the probabilities, `slope` among them.
    """

    num_tuning: int
    num_held_out: int
    calibrations: tuple[Calibration, ...]
    rankings: tuple[Ranking, ...]


CUE_SETS = ((Cue.SPREAD,), (Cue.SLOPE,), (Cue.SPREAD, Cue.SLOPE, Cue.DRIFT))


def judge_confidence(
    tuning: Sequence[PixelCues], held_out: Sequence[PixelCues]
) -> ConfidenceReport | None:
    """Fit every set of cues on tuning images and judge it on held-out ones; None without images."""
    if not tuning or not held_out:
        return None
    fits = [fit_confidence(tuning, cues, within) for within in WITHINS for cues in CUE_SETS]
    orders: dict[str, Sequence[npt.NDArray[np.floating]]] = {}
    orders |= {cue.value: [image.cues[cue] for image in held_out] for cue in Cue}
    for fit in fits:
        if fit.within == WITHINS[-1] and len(fit.cues) > 1:
            orders[_name(fit.cues)] = [-fit.probability(image.cues) for image in held_out]
    return ConfidenceReport(
        num_tuning=len(tuning),
        num_held_out=len(held_out),
        calibrations=tuple(_calibrate(fit, held_out) for fit in fits),
        rankings=_rank(orders, held_out),
    )


def fit_confidence(
    images: Sequence[PixelCues], cues: tuple[Cue, ...], within: float
) -> ConfidenceFit:
    """Return the logistic regression of "within" on the cues' logarithms, all pixels alike."""
    rows = np.concatenate([_logarithms(image.cues, cues) for image in images])
    right = np.concatenate([image.ratio_n < within for image in images])
    found = fit_logistic(rows, right)
    return ConfidenceFit(within, cues, found.intercept, found.weights)


def _calibrate(fit: ConfidenceFit, images: Sequence[PixelCues]) -> Calibration:
    probability = np.concatenate([fit.probability(image.cues) for image in images])
    right = np.concatenate([image.ratio_n < fit.within for image in images])
    bins = reliability_bins(probability, right)
    return Calibration(fit, expected_calibration_error(bins), float(right.mean()), bins)


def _rank(
    orders: Mapping[str, Sequence[npt.NDArray[np.floating]]], images: Sequence[PixelCues]
) -> tuple[Ranking, ...]:
    found = {
        name: [sparsify(i.error_n, u) for i, u in zip(images, uncertainties, strict=True)]
        for name, uncertainties in orders.items()
    }
    slope = [image.ause for image in found[Cue.SLOPE.value]]
    return tuple(_ranking(name, curves, slope) for name, curves in found.items())


def _ranking(name: str, images: Sequence[Sparsification], slope: Sequence[float]) -> Ranking:
    values = [image.ause for image in images]
    return Ranking(
        name=name,
        ause=float(np.nanmean(values)),
        curve_k=np.mean([image.curve_k for image in images], axis=0),
        oracle_k=np.mean([image.oracle_k for image in images], axis=0),
        against_slope=None if name == Cue.SLOPE else paired_change(slope, values),
    )


def _name(cues: Iterable[Cue]) -> str:
    return " + ".join(cue.value for cue in cues)


def _logarithms(cues: Mapping[Cue, Floats], names: Sequence[Cue]) -> Doubles:
    """Return ln of the cues, float64 [N, C]; a cue of 0 counts as 1e-6."""
    columns = [np.log(np.maximum(cues[name].astype(np.float64), SMALLEST_CUE)) for name in names]
    return np.column_stack(columns)
