"""Depth metrics on cases that can be worked out by hand; agreement with the authors is golden."""

from __future__ import annotations

import numpy as np
import pytest

from redepth.metrics.depth import depth_metrics, error_factor, relative_error


def test_a_constant_factor_is_seen_by_each_figure() -> None:
    truth = np.array([[1.0, 2.0, 4.0]])
    found = depth_metrics(1.1 * truth, truth, np.ones_like(truth, dtype=bool))
    assert found.abs_rel == pytest.approx(0.1)
    assert found.rmse == pytest.approx(0.1 * np.sqrt(21 / 3))
    assert found.rmse_log == pytest.approx(np.log(1.1))
    assert found.silog == pytest.approx(0.0, abs=1e-12)


def test_each_delta_counts_the_ratios_below_its_factor_on_both_sides() -> None:
    truth = np.ones((1, 6))
    depth = np.array([[1.04, 1 / 1.04, 1.06, 1 / 1.06, 1.3, 2.5]])
    found = depth_metrics(depth, truth, np.ones_like(truth, dtype=bool))
    assert found.delta_1_05 == pytest.approx(2 / 6)
    assert found.delta1 == pytest.approx(4 / 6)
    assert found.delta2 == pytest.approx(5 / 6)
    assert found.delta3 == pytest.approx(5 / 6)


def test_no_pixel_is_an_error() -> None:
    with pytest.raises(ValueError, match="no pixel"):
        depth_metrics(np.ones((2, 2)), np.ones((2, 2)), np.zeros((2, 2), dtype=bool))


def test_a_depth_behind_the_camera_is_infinitely_far_off() -> None:
    depth, true_depth = np.array([2.0, 0.5, 0.0, -1.0]), np.ones(4)
    assert error_factor(depth, true_depth).tolist() == [2.0, 2.0, np.inf, np.inf]
    assert relative_error(depth, true_depth).tolist() == [1.0, 0.5, 1.0, 2.0]
