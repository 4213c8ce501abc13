"""From members to a label: align, reduce, spread, confidence, and the guard that may refuse it.

Every formula here is stated in docs/formulas.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redepth.config import Ensemble, Guard
from redepth.geometry.alignment import align_all, fit_affine
from redepth.labelling.confidence import confidence_by_cues, confidence_by_spread, cues_of
from redepth.labelling.quantiles import range_between, range_of_sorted, values_where
from redepth.labelling.ranks import rank_correlation, ranked
from redepth.types import FloatMap, Members, RefinedDepth

DoubleMap = npt.NDArray[np.float64]


def reduce_members(
    members: Members, coarse_hw: FloatMap, settings: Ensemble, *, is_metric: bool = False
) -> RefinedDepth:
    """Average the members; the spread of the aligned members gives the confidence.

    The map is the plain mean of the members as they are (the paper's rule), or of the aligned ones
    with `align_before_mean`; or their median, pixel by pixel. The spread is always taken after each
    member was brought to the mean by least-squares scale and shift, since an affine-invariant map
    has neither; of metric members as they are, since nothing of a metre is free.

    Args:
        coarse_hw: the map the members were refined from; a fitted confidence looks at it.
        is_metric: whether the maps are metres; they may then be NaN where nothing is known.

    Returns:
        RefinedDepth; spread and confidence are NaN for an ensemble of 1.
    """
    maps_ehw = members.maps_ehw
    mean_hw: DoubleMap = maps_ehw.mean(axis=0, dtype=np.float64)
    if len(maps_ehw) == 1:
        absent = np.full(mean_hw.shape, np.nan, dtype=np.float32)
        return RefinedDepth(mean_hw.astype(np.float32), absent, absent, num_members=1)
    aligned_ehw = maps_ehw.astype(np.float64) if is_metric else align_all(maps_ehw, mean_hw)
    refined_hw = _reduced(maps_ehw, aligned_ehw, mean_hw, settings)
    spread_hw = _deviation(aligned_ehw)
    confidence_hw = _confidence(spread_hw, refined_hw, coarse_hw, settings, is_metric)
    return RefinedDepth(
        refined_hw.astype(np.float32),
        spread_hw.astype(np.float32),
        confidence_hw.astype(np.float32),
        num_members=len(maps_ehw),
    )


def _reduced(
    maps_ehw: FloatMap, aligned_ehw: DoubleMap, mean_hw: DoubleMap, settings: Ensemble
) -> DoubleMap:
    if settings.reduction == "median":
        chosen_ehw = aligned_ehw if settings.align_before_mean else maps_ehw
        return np.asarray(np.median(chosen_ehw.astype(np.float64), axis=0))
    return aligned_ehw.mean(axis=0) if settings.align_before_mean else mean_hw


def _deviation(maps_ehw: DoubleMap) -> DoubleMap:
    """Return the standard deviation over the first axis, divisor E, [H, W]; the maps are spent."""
    maps_ehw -= maps_ehw.mean(axis=0)
    variance_hw: DoubleMap = np.einsum("ehw,ehw->hw", maps_ehw, maps_ehw)
    variance_hw /= len(maps_ehw)
    return np.sqrt(variance_hw, out=variance_hw)


def _confidence(
    spread_hw: DoubleMap,
    refined_hw: DoubleMap,
    coarse_hw: FloatMap,
    settings: Ensemble,
    is_metric: bool,
) -> DoubleMap:
    """Return the recipe's confidence: the fitted probability if it has one."""
    if settings.confidence_mapping is None:
        return confidence_by_spread(spread_hw, refined_hw, settings.confidence_tau)
    cues = cues_of(spread_hw, refined_hw, coarse_hw, is_metric=is_metric)
    return confidence_by_cues(cues, settings.confidence_mapping)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard measured, and why the refined map is refused, if it is.

    Attributes:
        drift: mean |a refined + b - coarse| / (98 % - 2 % quantile of coarse); NaN if not finite.
            Of metric maps a = 1 and b = 0.
        rank_correlation: Spearman's, of refined and coarse; NaN if one of them is constant.
        collapse: the reason to fall back to the coarse map, in words, or None.
    """

    drift: float
    rank_correlation: float
    collapse: str | None


_ROBUST = (0.02, 0.98)
_NO_ORDER = Verdict(np.nan, np.nan, "coarse map is constant: there is no order to keep")


def guard(
    coarse_hw: FloatMap, refined_hw: FloatMap, settings: Guard, *, is_metric: bool = False
) -> Verdict:
    """Measure how far refining went, and say whether it went off the road.

    Args:
        coarse_hw: NaN where the coarse model has no value; these pixels are left out.
        is_metric: whether the maps are metres: drift is then taken without alignment.
    """
    known_hw = np.isfinite(coarse_hw)
    coarse_n, refined_n = values_where(coarse_hw, known_hw), values_where(refined_hw, known_hw)
    if not np.isfinite(refined_n).all():
        share = 1.0 - float(np.isfinite(refined_n).mean())
        return Verdict(np.nan, np.nan, f"refined map is not finite on {share:.1%} of its pixels")
    if np.array_equal(refined_n, coarse_n):  # ranking takes longer than a small network
        has_range = range_between(coarse_n, *_ROBUST) > 0.0
        return Verdict(0.0, 1.0, None) if has_range else _NO_ORDER
    coarse, refined = ranked(coarse_n), ranked(refined_n)
    coarse_range = range_of_sorted(coarse.values_n, *_ROBUST)
    refined_range = range_of_sorted(refined.values_n, *_ROBUST)
    if coarse_range == 0.0:
        return _NO_ORDER
    drift = _drift(coarse_n, refined_n, coarse_range, is_metric)
    if refined_range < settings.min_relative_range * coarse_range:
        reason = (
            f"refined map is constant: its range is {refined_range / coarse_range:.2g} of coarse"
        )
        return Verdict(drift, np.nan, reason)
    correlation = rank_correlation(coarse, refined)
    if correlation < settings.min_rank_correlation:
        reason = (
            f"depth order lost: rank correlation with coarse is {correlation:.2f}, "
            f"below {settings.min_rank_correlation:.2f}"
        )
        return Verdict(drift, correlation, reason)
    return Verdict(drift, correlation, None)


def _drift(coarse_n: FloatMap, refined_n: FloatMap, coarse_range: float, is_metric: bool) -> float:
    aligned_n = (
        refined_n.astype(np.float64)
        if is_metric
        else fit_affine(refined_n, coarse_n).apply(refined_n)
    )
    aligned_n -= coarse_n
    return float(np.abs(aligned_n, out=aligned_n).mean() / coarse_range)
