"""Bounds around a map: their formula, their order, and where there are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from redepth.confidence.bounds import bounds_of, factors_at
from redepth.confidence.cues import LabelMaps, range_of
from redepth.confidence.mapping import Intervals
from redepth.types import DepthKind

HW = (10, 12)
RAMP = np.linspace(1.0, 9.0, HW[0] * HW[1]).reshape(HW)
CONFIDENCE = np.linspace(0.0, 1.0, HW[0] * HW[1]).reshape(HW)


def intervals(*, is_metric: bool = False, **own: Any) -> Intervals:
    values = {
        "guarantee": "deciles",
        "is_metric": is_metric,
        "error": {"intercept": np.log(0.1)},
        "edges": (0.5,),
        "factors": (3.0, 2.0),
        "num_images": 20,
    }
    return Intervals.model_validate({**values, **own})


def maps(refined: np.ndarray = RAMP, kind: DepthKind = DepthKind.AFFINE_DISPARITY) -> LabelMaps:
    return LabelMaps({"coarse": RAMP, "refined": refined}, kind)


def test_relative_bounds_are_a_share_of_the_range_by_group() -> None:
    found = bounds_of(maps(), CONFIDENCE, intervals())
    half = np.where(CONFIDENCE < 0.5, 0.3, 0.2) * range_of(RAMP)
    assert found.upper_hw == pytest.approx((RAMP + half).astype(np.float32), rel=1e-6)
    assert found.lower_hw == pytest.approx((RAMP - half).astype(np.float32), rel=1e-5)


def test_they_move_with_the_scale_and_shift_of_the_map() -> None:
    first = bounds_of(maps(), CONFIDENCE, intervals())
    other = bounds_of(maps(2.0 * RAMP + 5.0), CONFIDENCE, intervals())
    assert other.lower_hw == pytest.approx(2.0 * first.lower_hw + 5.0, rel=1e-5)


def test_metric_bounds_are_ratios_and_stay_positive() -> None:
    own = intervals(is_metric=True, factors=(50.0, 2.0))
    found = bounds_of(maps(kind=DepthKind.METRIC_DEPTH), CONFIDENCE, own)
    assert (found.lower_hw > 0).all()
    assert (found.lower_hw < RAMP).all() and (found.upper_hw > RAMP).all()
    assert found.upper_hw[-1, -1] == pytest.approx(9.0 * np.exp(0.2), rel=1e-6)


def test_the_error_follows_the_cues() -> None:
    own = intervals(error={"intercept": 0.0, "border": 1.0}, edges=(), factors=(1.0,))
    found = bounds_of(maps(), CONFIDENCE, own)
    half = (found.upper_hw - found.lower_hw) / 2 / range_of(RAMP)
    assert half[0, 0] == pytest.approx(1 / 0.02, rel=1e-5)
    assert half[5, 5] == pytest.approx(1 / (0.02 + 4 / 12), rel=1e-5)


def test_without_a_value_or_a_confidence_there_are_no_bounds() -> None:
    refined, confidence = RAMP.copy(), CONFIDENCE.copy()
    refined[0, 0] = confidence[1, 1] = np.nan
    found = bounds_of(maps(refined), confidence, intervals())
    for map_hw in (found.lower_hw, found.upper_hw):
        assert np.argwhere(np.isnan(map_hw)).tolist() == [[0, 0], [1, 1]]


def test_an_edge_belongs_to_the_surer_group() -> None:
    assert factors_at(np.array([0.49, 0.5, np.nan]), intervals())[:2].tolist() == [3.0, 2.0]


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"factors": (1.0,)}, "1 rising edges make 2 groups"),
        ({"edges": (0.6, 0.5), "factors": (1.0, 1.0, 1.0)}, "rising edges"),
        ({"factors": (1.0, float("inf"))}, "finite"),
        ({"error": {"intercept": 0.0, "slop": 1.0}}, "did you mean 'slope'"),
    ],
)
def test_what_are_no_intervals_is_refused(own: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        intervals(**own)
