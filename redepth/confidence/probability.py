"""Confidence: a stated function of the spread alone, or a probability fitted to cues.

`redepth.evaluation.calibrate` fits it where the true depth is known (docs/confidence.md).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from redepth.confidence.cues import LabelMaps, cues_of, range_of
from redepth.confidence.mapping import ConfidenceMapping, Terms, factors_of

DoubleMap = npt.NDArray[np.float64]
SMALLEST_CUE = 1e-6


def confidence_by_spread(spread_hw: DoubleMap, refined_hw: DoubleMap, tau: float) -> DoubleMap:
    """Return exp(-spread / (tau * range)), range = 95 % - 5 % quantile of the refined map.

    In [0, 1], falling with the spread, unchanged by scale and shift of the map. A map without
    range has no confidence: NaN.
    """
    whole = range_of(refined_hw)
    if not whole > 0.0:
        return np.full(spread_hw.shape, np.nan)
    exponent_hw: DoubleMap = spread_hw / (-tau * whole)
    return np.exp(exponent_hw, out=exponent_hw)


def confidence_of(maps: LabelMaps, mapping: ConfidenceMapping) -> DoubleMap:
    """Return a label's fitted probability, float64 [H, W] in [0, 1].

    NaN where a cue is: one that takes an ensemble, of a label with one member.

    Raises:
        LookupError: the label does not have a map that the mapping looks at.
    """
    found = confidence_by_cues(cues_of(maps, mapping.cues()), mapping)
    return np.broadcast_to(found, maps.refined_hw.shape).copy() if found.ndim == 0 else found


def confidence_by_cues(cues: Mapping[str, DoubleMap], mapping: ConfidenceMapping) -> DoubleMap:
    """Return P(max(d/t, t/d) < within) = 1 / (1 + exp(-sum_of_terms)).

    A cue of 0 counts as 1e-6. In [0, 1], unchanged by scale and shift of the map.
    """
    from scipy.special import expit

    probability_hw: DoubleMap = expit(sum_of_terms(cues, mapping))
    return probability_hw


def sum_of_terms(cues: Mapping[str, DoubleMap], terms: Terms) -> DoubleMap:
    """Return intercept + sum_term weight_term x_term, of cues of one shape."""
    logs = {name: log_of(cues[name]) for name in terms.cues()}
    counting = [(term, weight) for term, weight in terms.weights().items() if weight]
    total: DoubleMap = np.zeros(next((cue.shape for cue in cues.values()), ()))
    for term, weight in counting:
        total = total + weight * term_value(logs, term)
    return np.asarray(terms.intercept + total)


def term_value(logs: Mapping[str, DoubleMap], term: str) -> DoubleMap:
    """Return the product of the logarithms of a term's cues."""
    first, *others = factors_of(term)
    value: DoubleMap = logs[first]
    for name in others:
        value = value * logs[name]
    return value


def log_of(cue: npt.NDArray[np.floating]) -> DoubleMap:
    """Return ln(max(cue, 1e-6)), float64."""
    found: DoubleMap = np.log(np.maximum(np.asarray(cue, dtype=np.float64), SMALLEST_CUE))
    return found
