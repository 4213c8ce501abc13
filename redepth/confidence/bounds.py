"""Bounds of the depth: intervals that were fitted by conformal prediction, put around a map.

In the map's own numbers, so that whatever aligns the map aligns its bounds: of an affine-invariant
map `refined -+ factor * exp(error) * range`, of a metric one
`refined * exp(-+ factor * exp(error))`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redepth.confidence.cues import LabelMaps, cues_of, positive_range
from redepth.confidence.mapping import Intervals
from redepth.confidence.probability import sum_of_terms
from redepth.types import FloatMap

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """The ends of an interval: float32 [H, W] each, lower <= refined <= upper.

    NaN where the map has no value, or no confidence.
    """

    lower_hw: FloatMap
    upper_hw: FloatMap


def bounds_of(maps: LabelMaps, confidence_hw: npt.NDArray[np.floating], own: Intervals) -> Bounds:
    """Return the interval of a label.

    Args:
        confidence_hw: of the mapping that was fitted with the intervals.

    Raises:
        LookupError: the label does not have a map that the intervals look at.
    """
    error_hw = np.exp(sum_of_terms(cues_of(maps, own.error.cues()), own.error))
    half_hw = factors_at(confidence_hw, own) * error_hw
    map_hw = maps.refined_hw
    if own.is_metric:
        lower_hw, upper_hw = map_hw * np.exp(-half_hw), map_hw * np.exp(half_hw)
    else:
        half_hw = half_hw * positive_range(map_hw)
        lower_hw, upper_hw = map_hw - half_hw, map_hw + half_hw
    return Bounds(_stored(lower_hw), _stored(upper_hw))


def factors_at(confidence: npt.NDArray[np.floating], own: Intervals) -> Doubles:
    """Return the factor of each pixel's group of confidence; NaN without a confidence."""
    group = np.searchsorted(own.edges, confidence, side="right")
    factor: Doubles = np.asarray(own.factors)[group]
    return np.where(np.isfinite(confidence), factor, np.nan)


def _stored(map_hw: Doubles) -> FloatMap:
    """Return float32; what is too large for it is unknown."""
    with np.errstate(over="ignore"):
        values_hw = map_hw.astype(np.float32)
    return np.where(np.isfinite(values_hw), values_hw, np.float32(np.nan))
