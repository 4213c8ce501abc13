"""The interval covers the true mean about as often as it says, and nothing where it cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest

from redepth.metrics.bootstrap import bootstrap_mean, bootstrap_ratio


def test_the_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(3.0, 1.0, (200, 40))
    intervals = [bootstrap_mean(sample.tolist()) for sample in samples]
    covered = sum(found.low <= 3.0 <= found.high for found in intervals)
    assert 180 <= covered <= 198


def test_it_is_as_wide_as_the_t_interval() -> None:
    values = np.random.default_rng(1).normal(0.0, 2.0, 100)
    found = bootstrap_mean(values.tolist())
    half = 1.96 * values.std(ddof=1) / 10
    assert found.mean == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).normal(size=30).tolist()
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values, seed=3) != bootstrap_mean(values, seed=4)


def test_values_that_are_alike_leave_no_doubt() -> None:
    found = bootstrap_mean([0.25, 0.25, 0.25])
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)


def test_images_without_the_figure_are_left_out() -> None:
    found = bootstrap_mean([1.0, math.nan, 3.0, math.inf])
    assert (found.num_images, found.mean) == (2, 2.0)


@pytest.mark.parametrize(("values", "number"), [([], 0), ([math.nan], 0), ([2.0], 1)])
def test_fewer_than_two_images_have_no_interval(values: list[float], number: int) -> None:
    found = bootstrap_mean(values)
    assert found.num_images == number
    assert math.isnan(found.low)
    assert math.isnan(found.mean) == (number == 0)


def test_a_ratio_of_means_is_resampled_in_pairs() -> None:
    """Each image keeps half of its own gain: so does every resample."""
    gains = np.random.default_rng(0).uniform(0.1, 9.0, 40)
    found = bootstrap_ratio((gains / 2).tolist(), gains.tolist())
    assert (found.ratio, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    shuffled = bootstrap_ratio((gains[::-1] / 2).tolist(), gains.tolist())
    assert shuffled.ratio == pytest.approx(0.5)
    assert shuffled.low < 0.45
    assert shuffled.high > 0.55


def test_a_ratio_needs_an_image() -> None:
    with pytest.raises(ValueError, match="needs one"):
        bootstrap_ratio([], [])
