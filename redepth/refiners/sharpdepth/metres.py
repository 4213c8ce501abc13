"""From a normalised sharp map back to metres, by the pixels where it agrees with the metric map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from redepth.geometry.alignment import Affine, fit_affine
from redepth.types import FloatMap


@dataclass(frozen=True, slots=True, eq=False)
class MetricMember:
    """One member in metres, and what its scale rests on.

    Attributes:
        map_hw: float32 [H, W], metres.
        fit: from the normalised map to metres.
        agreeing_share: of the pixels, in [0, 1].
    """

    map_hw: FloatMap
    fit: Affine
    agreeing_share: float


def to_metres(
    sharp_hw: FloatMap, gate_hw: FloatMap, metric_hw: FloatMap, agreement: float
) -> MetricMember:
    """Bring a normalised map to metres by least squares over the pixels that agree.

    Args:
        sharp_hw: float32 [H, W], normalised.
        gate_hw: float32 [H, W] in [0, 1], how much the first pass differs from the metric map.
        metric_hw: float32 [H, W], metres.
        agreement: pixels with a smaller gate count.

    Returns:
        The member; its map is the metric one, with a scale of 0, where no pixel agrees.

    Source: SharpDepth, alignment to the metric map where the difference is below 0.5.
    """
    agreeing_hw = gate_hw < agreement
    share = float(agreeing_hw.mean())
    if not share or not np.isfinite(sharp_hw).all():
        known_hw = np.where(np.isfinite(sharp_hw), metric_hw, np.nan).astype(np.float32)
        return MetricMember(known_hw, Affine(0.0, 0.0), share)
    fit = fit_affine(sharp_hw, metric_hw, agreeing_hw)
    return MetricMember(fit.apply(sharp_hw).astype(np.float32), fit, share)
