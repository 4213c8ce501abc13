"""How far a metric map reaches: what lies at its far limit, or beyond, has no value.

A model says of the sky, and of all that is farther than it was made for, some number near its end.
Such a number looks valid and is not. Refiners see it, since a network takes no holes; no stored map
has it. Maps without a limit (all that are not metric) pass through untouched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from redepth.errors import RefinementFailed
from redepth.quantities import Validity
from redepth.types import ByteMap, CoarseDepth, FloatMap, Members, RefinedDepth

BoolMap = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class MaskedDepth:
    """A coarse map and what of it is to be believed.

    Attributes:
        unmasked: finite everywhere, at most the far limit: what refiners are given.
        map_hw: float32 [H, W], NaN at the far limit and where a metric depth is not above 0.
        is_known_hw: bool [H, W], where `map_hw` has a value.
    """

    unmasked: CoarseDepth
    map_hw: FloatMap
    is_known_hw: BoolMap

    def mask_members(self, members: Members) -> Members:
        """Return members that are NaN wherever the coarse map has no value."""
        if self.is_known_hw.all():
            return members
        return replace(members, maps_ehw=np.where(self.is_known_hw, members.maps_ehw, np.nan))

    def mask_refined(self, refined: RefinedDepth) -> RefinedDepth:
        """Return the label's maps, NaN too where refining led to the far limit or below 0."""
        if not self.unmasked.kind.is_metric:
            return refined
        known_hw = _in_range(refined.map_hw, self.unmasked.far_limit_m)
        if known_hw.all():
            return refined

        def within(map_hw: FloatMap) -> FloatMap:
            return np.where(known_hw, map_hw, np.float32(np.nan))

        return RefinedDepth(
            within(refined.map_hw),
            within(refined.spread_hw),
            within(refined.confidence_hw),
            refined.num_members,
            {quantity: within(map_hw) for quantity, map_hw in refined.extra.items()},
        )

    def validity(self, refined_hw: FloatMap, kept_hw: FloatMap) -> ByteMap:
        """Say why each pixel of a label has a value or none: codes of `Validity`, uint8 [H, W].

        Args:
            refined_hw: the map before `within`.
            kept_hw: the label's, after it.
        """
        known_hw = np.isfinite(kept_hw)
        codes_hw = np.full(kept_hw.shape, Validity.VALID, dtype=np.uint8)
        if not known_hw.all():
            cause_hw = np.where(self.is_known_hw, refined_hw, self.unmasked.map_hw)[~known_hw]
            codes_hw[~known_hw] = np.where(cause_hw > 0, Validity.BEYOND_RANGE, Validity.HOLE)
        return codes_hw

    def far_share(self, map_hw: FloatMap) -> float | None:
        """Return the share of a metric label's pixels without a value; None of other kinds."""
        return float(np.isnan(map_hw).mean()) if self.unmasked.kind.is_metric else None

    def empty_reason(self) -> str:
        """Say in words why a picture gets no label: nothing of it is within reach."""
        limit_m = self.unmasked.far_limit_m
        end = "" if limit_m is None else f" nearer than the far limit of {limit_m:g} m"
        return f"the coarse model saw nothing{end} (labels.coarse.far_limit_m)"


def mask_far(coarse: CoarseDepth) -> MaskedDepth:
    """Find out what of a coarse map is to be believed.

    Infinity is "far" to a metric model with a limit, and becomes the limit for the refiners.

    Raises:
        RefinementFailed: the map is NaN somewhere, or infinite where nothing says how far it goes.
    """
    limit_m = coarse.far_limit_m if coarse.kind.is_metric else None
    map_hw = coarse.map_hw if limit_m is None else np.minimum(coarse.map_hw, np.float32(limit_m))
    if not np.isfinite(map_hw).all():
        raise RefinementFailed("the coarse model's map is not finite")
    if not coarse.kind.is_metric:
        return MaskedDepth(coarse, map_hw, np.ones(map_hw.shape, dtype=np.bool_))
    known_hw = _in_range(map_hw, limit_m)
    cut_hw = map_hw if known_hw.all() else np.where(known_hw, map_hw, np.float32(np.nan))
    return MaskedDepth(replace(coarse, map_hw=map_hw), cut_hw, known_hw)


def _in_range(map_hw: FloatMap, limit_m: float | None) -> BoolMap:
    with np.errstate(invalid="ignore"):
        near_hw: BoolMap = map_hw > 0
        return near_hw if limit_m is None else near_hw & (map_hw < np.float32(limit_m))
