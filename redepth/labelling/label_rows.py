"""What a label's row says, a stage at a time, and the label that a row and its maps make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from redepth.labelling.ensemble import Verdict
from redepth.labelling.valid_range import MaskedDepth
from redepth.quantities import CONFIDENCE, SPREAD, VALID
from redepth.types import (
    Extra,
    FloatMap,
    FocalSource,
    Label,
    LabelArrays,
    LabelRow,
    Members,
    Outcome,
    RefinedDepth,
)


def with_focal(row: LabelRow, coarse: MaskedDepth) -> LabelRow:
    """Record the focal length that the coarse model saw, unless the camera's own is known."""
    seen_px = coarse.unmasked.focal_px
    if row.focal_px is not None or seen_px is None:
        return row
    return replace(row, focal_px=seen_px, focal_source=FocalSource.MODEL)


def with_members(row: LabelRow, members: Members, verdict: Verdict) -> LabelRow:
    """Record what became of the members, and what the guard measured."""
    return replace(
        row,
        caption=row.caption if members.caption is None else members.caption,
        num_members=len(members.maps_ehw),
        members_stopped="; ".join(members.stopped) or None,
        num_steps=members.num_steps,
        steps_ended=members.steps_ended,
        predicted_gain=None if members.predicted_gain is None else _known(members.predicted_gain),
        refined_by=members.refined_by,
        drift=_known(verdict.drift),
        rank_correlation=_known(verdict.rank_correlation),
        metric_scale=members.metric.scale if members.metric else None,
        metric_shift=members.metric.shift if members.metric else None,
        agreeing_share=members.metric.agreeing_share if members.metric else None,
    )


def fallen_back(row: LabelRow, coarse: MaskedDepth, extra: Extra, why: str) -> Label:
    """Make the label of the coarse map: without spread, confidence and the refiner's extra maps."""
    size_hw = (coarse.map_hw.shape[0], coarse.map_hw.shape[1])
    row = replace(row, outcome=Outcome.FELL_BACK, reason=why)
    kept = RefinedDepth(
        coarse.map_hw, SPREAD.absent(size_hw), CONFIDENCE.absent(size_hw), num_members=0
    )
    valid_hw = coarse.validity(coarse.unmasked.map_hw, coarse.map_hw)
    absent = {quantity: quantity.absent(size_hw) for quantity in extra}
    return label_of(row, coarse, kept, {**absent, VALID: valid_hw})


def label_of(row: LabelRow, coarse: MaskedDepth, kept: RefinedDepth, extra: Extra) -> Label:
    """Put a label together: the maps that are kept, and what the row says of them."""
    row = replace(
        row,
        height_px=kept.map_hw.shape[0],
        width_px=kept.map_hw.shape[1],
        kind=coarse.unmasked.kind,
        mean_confidence=_mean(kept.confidence_hw),
        mean_spread=_mean(kept.spread_hw),
        far_share=coarse.far_share(kept.map_hw),
    )
    maps = (coarse.map_hw, kept.map_hw, kept.spread_hw, kept.confidence_hw)
    further = {**coarse.unmasked.extra, **extra, **kept.extra}
    return Label(row, LabelArrays.of_depth(*maps, further))


def _mean(map_hw: FloatMap) -> float | None:
    """Return the mean of the values that are known, None if there are none."""
    known_hw = np.isfinite(map_hw)
    if not known_hw.any():
        return None
    return float((map_hw if known_hw.all() else map_hw[known_hw]).mean())


def _known(value: float) -> float | None:
    """Return None for NaN: a catalogue says "absent" with null."""
    return value if np.isfinite(value) else None
