"""A collection is told from the calibration's where its cues are others, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from redepth.confidence.mapping import Intervals
from redepth.confidence.shift import mean_log_cues, shift_words, shifts_of

RNG = np.random.default_rng(0)


def intervals(num: int = 100) -> Intervals:
    values = {
        "guarantee": "pixels",
        "is_metric": False,
        "error": {"intercept": 0.0},
        "factors": [1.0],
        "num_images": num,
        "calibration_cues": {
            name: np.quantile(RNG.normal(size=num), np.linspace(0, 1, 21)).tolist()
            for name in ("slope", "far")
        },
    }
    return Intervals.model_validate(values)


def images(slope: float, far: float, num: int = 60) -> list[dict[str, float]]:
    return [{"slope": RNG.normal() + slope, "far": RNG.normal() + far} for _ in range(num)]


def test_images_that_are_alike_are_not_warned_of() -> None:
    alike = [shift_words(shifts_of(intervals(), images(0.0, 0.0)), 60) for _ in range(40)]
    assert sum(words is not None for words in alike) <= 2


def test_a_cue_that_moved_is_named_first() -> None:
    found = shifts_of(intervals(), images(0.0, 3.0))
    assert [shift.cue for shift in found] == ["far", "slope"]
    assert found[0].distance > 0.8
    words = shift_words(found, 60)
    assert words is not None and "1 of 2 cues differ over 60 images" in words
    assert "far 0." in words


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    own = intervals().model_copy(update={"calibration_cues": {"slope": (0.0, 1.0)}})
    (found,) = shifts_of(own, [{"slope": 0.2}, {"slope": 0.9}])
    # Uniform against steps at 0.2 and 0.9: |0.5 - 0.9| just before 0.9.
    assert found.distance == pytest.approx(0.4, abs=1e-3)


def test_an_image_counts_by_the_mean_of_its_logarithms() -> None:
    found = mean_log_cues({"a": np.array([1.0, np.e**2, np.nan]), "b": np.array([np.nan])})
    assert found == {"a": pytest.approx(1.0)}


def test_a_cue_that_is_always_the_same_is_no_distance() -> None:
    constant = {"slope": (-3.0,) * 21}
    own = intervals().model_copy(update={"calibration_cues": constant})
    (same,) = shifts_of(own, [{"slope": -3.0 + 1e-9}] * 30)
    (other,) = shifts_of(own, [{"slope": -2.0}] * 30)
    assert (same.distance, other.distance) == (0.0, 1.0)
