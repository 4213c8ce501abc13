"""From what a label's maps tell to a probability and an interval, fitted where the depth is known.

    P(max(d / t, t / d) < within) = 1 / (1 + exp(-(intercept + sum_t weight_t x_t)))
    half interval                 = factor(P) * exp(error)

x_t is the product of the logarithms of a term's cues (`redepth.confidence.cues`). The result is a
recipe's `labels.ensemble.confidence_mapping` and `labels.ensemble.intervals`.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from redepth.confidence.bounds import factors_at
from redepth.confidence.cues import cues_in
from redepth.confidence.files import FittedConfidence
from redepth.confidence.mapping import (
    ConfidenceMapping,
    Guarantee,
    Intervals,
    Terms,
    terms_of,
)
from redepth.confidence.probability import confidence_by_cues, log_of, sum_of_terms, term_value
from redepth.confidence.shift import mean_log_cues
from redepth.errors import ConfigError
from redepth.evaluation.evaluate import ImageScores, PixelSample
from redepth.evaluation.summary import Reliability, reliability
from redepth.metrics.alignments import Alignment
from redepth.metrics.calibration import fit_linear, fit_logistic
from redepth.metrics.conformal import images_quantile, pixels_quantile
from redepth.store.dataset import Dataset
from redepth.store.reader import Labels

FORMULA = (
    "1 / (1 + exp(-(intercept + sum_t weight_t * x_t))), x_t the product over a term's cues of "
    "ln(max(cue, 1e-6))"
)
BOUNDS_FORMULA = (
    "half = factor(confidence) * exp(intercept + sum_t weight_t * x_t); affine: refined -+ half * "
    "(95 % - 5 % quantile of refined); metric: refined * exp(-+ half)"
)
COVERAGE = 0.9
NUM_GROUPS = 10
NUM_QUANTILES = 21
# Errors below this share of the median are as good as none, and have a logarithm.
_FLOOR_SHARE = 0.2
_LEAST_ERROR = 1e-9

Doubles = npt.NDArray[np.float64]
Scores = Sequence[npt.NDArray[np.floating]]
Quantile = Callable[[Scores, float, Sequence[float]], float]


# Chosen on tuning scenes (docs/results/confidence.md); those that labels have are taken.
DEFAULT_CUES = (
    "slope", "slope_near", "slope_wide", "drift_wide", "spread_wide", "far", "ends", "border",
    "texture", "texture_wide",
)  # fmt: skip


def default_cues(labels: Labels) -> tuple[str, ...]:
    """Return those of the cues of record whose maps some label has a value of."""
    held = [name for name in labels.quantities if name not in labels.absent]
    return tuple(cue for cue in DEFAULT_CUES if cue in cues_in(held))


@dataclass(frozen=True, slots=True)
class Grouping:
    """What a guarantee makes of the images' scores: groups, and a quantile of each."""

    num_groups: int
    quantile: Quantile


GROUPINGS: Mapping[Guarantee, Grouping] = {
    "pixels": Grouping(1, pixels_quantile),
    "images": Grouping(1, images_quantile),
    "deciles": Grouping(NUM_GROUPS, pixels_quantile),
}


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """What is fitted.

    Attributes:
        within: the factor that the probability speaks of.
        cues: what it may look at, by name.
        products: whether products of every two cues' logarithms are terms too, squares included.
        coverage: share of the pixels that intervals are to hold.
        guarantee: what of; see `Intervals`.
    """

    within: float
    cues: tuple[str, ...]
    products: bool = True
    coverage: float = COVERAGE
    guarantee: Guarantee = "deciles"

    @property
    def terms(self) -> tuple[str, ...]:
        return terms_of(tuple(dict.fromkeys(self.cues)), products=self.products)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A mapping and intervals, tested on images that they were not fitted on.

    Attributes:
        before: the stored confidence taken for a probability; None where none was stored.
        after: the mapping's probability, on the same pixels.
        intervals: None where there were too few images.
        coverage: share of the held-out pixels inside, each half of the held-out images with factors
            fitted to the other half; None where one of these has too few images.
    """

    mapping: ConfidenceMapping
    num_fitted: int
    num_held_out: int
    before: Reliability | None
    after: Reliability
    intervals: Intervals | None
    coverage: float | None

    @property
    def fitted(self) -> FittedConfidence:
        """What labels are read with."""
        return FittedConfidence(self.mapping, self.intervals)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Say what speaks against using the mapping; empty for a good one."""
        found = []
        weights = self.mapping.weights()
        if len(weights) == 1 and next(iter(weights.values())) > 0:
            (name,) = weights
            found.append(f"a larger {name} came out as surer: the {name} does not show the error")
        if self.before is not None and self.after.ece >= self.before.ece:
            found.append(
                "the mapping does no better than the stored confidence on images it has not seen: "
                "too few images, or images of different sorts"
            )
        return tuple(found)


def calibrate(images: Sequence[ImageScores], own: CalibrationSettings) -> Calibration:
    """Fit the mapping on one half of the images, test it and fit the intervals on the other.

    Which image falls where follows from its id alone. Labels that fell back take no part: what is
    fitted is of refined maps.

    Raises:
        ConfigError: fewer than two images have the cues.
    """
    ordered = sorted(images, key=lambda image: hashlib.sha256(image.id.encode()).digest())
    samples = [
        CuedPixels.of(image.pixels, own.cues) for image in ordered if image.pixels is not None
    ]
    usable = [sample for sample in samples if len(sample.factor_n)]
    if len(usable) < 2:
        raise ConfigError(
            f"{len(usable)} of {len(images)} images have {', '.join(own.cues)}: calibrating takes "
            "two at least, one to fit and one to test; a spread takes an ensemble of two members "
            "or more, other cues do not"
        )
    fitted, held_out = usable[::2], usable[1::2]
    mapping = fit_mapping(fitted, own)
    intervals = fit_intervals(fitted, held_out, mapping, own, _is_metric(images))
    factor_n = np.concatenate([one.factor_n for one in held_out])
    stored_n = np.concatenate([one.confidence_n for one in held_out])
    has_stored_n = np.isfinite(stored_n)
    after_n = np.concatenate([confidence_by_cues(one.cues, mapping) for one in held_out])
    return Calibration(
        mapping=mapping,
        num_fitted=len(fitted),
        num_held_out=len(held_out),
        before=reliability(stored_n[has_stored_n], factor_n[has_stored_n], own.within)
        if has_stored_n.any()
        else None,
        after=reliability(after_n, factor_n, own.within),
        intervals=intervals,
        coverage=_cross_coverage(fitted, held_out, mapping, own, _is_metric(images)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class CuedPixels:
    """The pixels of one image whose cues are all known; arrays as those of `PixelSample`."""

    cues: Mapping[str, Doubles]
    confidence_n: npt.NDArray[np.floating]
    factor_n: npt.NDArray[np.floating]
    error_n: npt.NDArray[np.floating]

    @classmethod
    def of(cls, sample: PixelSample, cues: Sequence[str]) -> CuedPixels:
        known_n = np.all([np.isfinite(sample.cues[cue]) for cue in cues], axis=0)
        return cls(
            {cue: sample.cues[cue][known_n].astype(np.float64) for cue in cues},
            sample.confidence_n[known_n],
            sample.factor_n[known_n],
            sample.error_n[known_n],
        )

    def rows(self, terms: Sequence[str]) -> Doubles:
        """Return the terms' values, float64 [N, terms]."""
        logs = {cue: log_of(values_n) for cue, values_n in self.cues.items()}
        return np.column_stack([term_value(logs, term) for term in terms])


def fit_mapping(images: Sequence[CuedPixels], own: CalibrationSettings) -> ConfidenceMapping:
    """Fit the order of an image's pixels by their error, then the probability of that order.

    The order is a ridge regression of ln(error) inside of images: what makes one image worse than
    another does not disturb it. The probability is a logistic regression on that one number.
    """
    rows = [image.rows(own.terms) for image in images]
    errors = _log_errors([np.log(np.asarray(image.factor_n, np.float64)) for image in images])
    order = fit_linear(rows, errors, within_images=True)
    column_n1 = np.concatenate([order.apply(rows_nc) for rows_nc in rows])[:, None]
    right_n = np.concatenate([image.factor_n for image in images]) < own.within
    found = fit_logistic(column_n1 - column_n1.mean(), right_n)
    slope = found.weights[0]
    weights = {term: slope * weight for term, weight in zip(own.terms, order.weights, strict=True)}
    intercept = found.intercept + slope * (order.intercept - float(column_n1.mean()))
    return ConfidenceMapping.model_validate(
        {"within": own.within, "intercept": intercept, **weights}
    )


def fit_intervals(
    fitted: Sequence[CuedPixels],
    held_out: Sequence[CuedPixels],
    mapping: ConfidenceMapping,
    own: CalibrationSettings,
    is_metric: bool,
) -> Intervals | None:
    """Fit the expected error and the groups to some images, and the factors to others.

    Returns:
        None where the others are too few for the coverage: 9 for 90 %, in every group.
    """
    error = _fit_error(fitted, own)
    grouping = GROUPINGS[own.guarantee]
    probability_n = np.concatenate([confidence_by_cues(one.cues, mapping) for one in fitted])
    inner = np.arange(1, grouping.num_groups) / grouping.num_groups
    edges = tuple(float(edge) for edge in np.quantile(probability_n, inner)) if len(inner) else ()
    groups = _groups_of(held_out, mapping, error, edges)
    factors = [grouping.quantile(group, own.coverage, _shares(group, held_out)) for group in groups]
    if not all(map(math.isfinite, factors)):
        return None
    return Intervals(
        coverage=own.coverage,
        guarantee=own.guarantee,
        is_metric=is_metric,
        error=error,
        edges=edges,
        factors=tuple(factors),
        num_images=len(held_out),
        calibration_cues=_cue_quantiles(held_out, own.cues),
    )


def _groups_of(
    images: Sequence[CuedPixels], mapping: ConfidenceMapping, error: Terms, edges: Sequence[float]
) -> list[list[npt.NDArray[np.floating]]]:
    """Return every image's scores, error over expected error, in each group of confidence."""
    groups: list[list[npt.NDArray[np.floating]]] = [[] for _ in range(len(edges) + 1)]
    for image in images:
        scores_n = image.error_n / np.exp(sum_of_terms(image.cues, error))
        group_n = np.searchsorted(edges, confidence_by_cues(image.cues, mapping), side="right")
        for number, group in enumerate(groups):
            group.append(scores_n[group_n == number])
    return groups


def _shares(group: Scores, images: Sequence[CuedPixels]) -> list[float]:
    """Return what share of each image's pixels is in a group."""
    return [len(own) / len(image.error_n) for own, image in zip(group, images, strict=True)]


def _fit_error(images: Sequence[CuedPixels], own: CalibrationSettings) -> Terms:
    errors = _log_errors([image.error_n for image in images])
    found = fit_linear([image.rows(own.terms) for image in images], errors)
    weights = dict(zip(own.terms, found.weights, strict=True))
    return Terms.model_validate({"intercept": found.intercept, **weights})


def _log_errors(errors: Sequence[npt.NDArray[np.floating]]) -> list[Doubles]:
    """Return ln(error + floor) of each image; what has no finite error counts as the largest."""
    everything_n = np.concatenate(errors).astype(np.float64)
    finite_n = everything_n[np.isfinite(everything_n)]
    largest = float(finite_n.max()) if finite_n.size else 1.0
    floor = max(_FLOOR_SHARE * float(np.median(finite_n)) if finite_n.size else 0.0, _LEAST_ERROR)
    return [np.log(np.minimum(one.astype(np.float64), largest) + floor) for one in errors]


def _cue_quantiles(
    images: Sequence[CuedPixels], cues: Sequence[str]
) -> dict[str, tuple[float, ...]]:
    means = [mean_log_cues(image.cues) for image in images]
    shares = np.linspace(0.0, 1.0, NUM_QUANTILES)
    return {
        cue: tuple(float(q) for q in np.quantile([mean[cue] for mean in means], shares))
        for cue in dict.fromkeys(cues)
    }


def _cross_coverage(
    fitted: Sequence[CuedPixels],
    held_out: Sequence[CuedPixels],
    mapping: ConfidenceMapping,
    own: CalibrationSettings,
    is_metric: bool,
) -> float | None:
    """Return the share of pixels inside intervals whose factors come from the other half."""
    shares = []
    for calibrating, tested in ((held_out[::2], held_out[1::2]), (held_out[1::2], held_out[::2])):
        found = fit_intervals(fitted, calibrating, mapping, own, is_metric)
        if found is None:
            return None
        shares += [_share_inside(image, mapping, found) for image in tested]
    return float(np.mean(shares))


def _share_inside(image: CuedPixels, mapping: ConfidenceMapping, own: Intervals) -> float:
    half_n = factors_at(confidence_by_cues(image.cues, mapping), own)
    return float((image.error_n <= half_n * np.exp(sum_of_terms(image.cues, own.error))).mean())


def _is_metric(images: Sequence[ImageScores]) -> bool:
    kinds = {image.map_kind.is_metric for image in images}
    if len(kinds) > 1:
        raise ConfigError("metric and relative maps among the images: calibrate one kind at a time")
    return kinds.pop()


def calibrated_values(dataset: Dataset, found: Calibration) -> dict[str, Any]:
    """Return the recipe of an output with this confidence and these intervals, as values."""
    labels = copy.deepcopy(dict(dataset.recipe))
    labels["ensemble"] |= found.fitted.as_json()
    return {
        "name": f"{dataset.recipe_name}-calibrated",
        "description": f"{dataset.recipe_name} with a fitted confidence",
        "labels": labels,
    }


def mapping_json(
    found: Calibration, recipe: str, recipe_digest: str, alignments: Sequence[Alignment]
) -> str:
    """Return a calibration as JSON, with its formulas and what it was fitted on.

    Args:
        recipe, recipe_digest: of the labels.
        alignments: how the labels were aligned to their ground truth, for the probability.
    """
    content = {
        **found.fitted.as_json(),
        "formula": FORMULA,
        "bounds": BOUNDS_FORMULA,
        "fitted_on": {
            "recipe": recipe,
            "digest": recipe_digest,
            "alignment": list(alignments),
            "images": found.num_fitted,
            "held_out": found.num_held_out,
        },
    }
    return json.dumps(content, indent=2) + "\n"
