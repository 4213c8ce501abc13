"""Paired changes against scipy's own t test and against cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from redepth.metrics.paired import paired_change


def test_a_constant_factor_is_the_change_with_no_doubt() -> None:
    found = paired_change([2.0, 2.0, 2.0], [1.6, 1.6, 1.6])
    assert found is not None
    assert found.change == pytest.approx(-0.2)
    assert (found.low, found.high) == pytest.approx((-0.2, -0.2))
    assert found.share_better == 1.0
    assert found.improved
    assert not found.worsened


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(1.0, 2.0, 30)
    after = before + rng.normal(-0.05, 0.2, 30)
    found = paired_change(before.tolist(), after.tolist())
    expected = ttest_rel(after, before).confidence_interval(0.95)
    assert found is not None
    assert found.low == pytest.approx(expected.low / before.mean())
    assert found.high == pytest.approx(expected.high / before.mean())


def test_figures_that_should_grow_are_better_when_they_grow() -> None:
    found = paired_change([0.5, 0.5], [0.6, 0.4], larger_is_better=True)
    assert found is not None
    assert found.share_better == 0.5


def test_images_without_both_figures_are_left_out() -> None:
    found = paired_change([1.0, math.nan, 2.0], [0.5, 1.0, math.nan])
    assert found is not None
    assert (found.num_images, found.change) == (1, -0.5)
    assert math.isnan(found.low)
    assert not found.improved
    assert paired_change([math.nan], [1.0]) is None


def test_unequal_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="pair"):
        paired_change([1.0], [1.0, 2.0])
