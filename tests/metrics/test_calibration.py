"""Calibration of probabilities that are right, and of one that is off by a known amount."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from redepth.metrics.calibration import (
    Logistic,
    expected_calibration_error,
    fit_logistic,
    reliability_bins,
)


def test_a_true_probability_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(200_000)
    right = rng.random(probability.size) < probability
    assert expected_calibration_error(reliability_bins(probability, right)) < 0.005


@pytest.mark.parametrize(("claimed", "share"), [(0.9, 0.5), (0.2, 0.5), (1.0, 0.0)])
def test_a_constant_claim_is_off_by_its_distance_to_the_share(claimed: float, share: float) -> None:
    right = np.arange(100) < 100 * share
    bins = reliability_bins(np.full(100, claimed), right)
    assert len(bins) == 1
    assert expected_calibration_error(bins) == pytest.approx(abs(claimed - share))


def test_bins_weigh_by_their_pixels() -> None:
    probability = np.array([0.05] * 30 + [0.95] * 10)
    right = np.array([False] * 30 + [False] * 10)
    error = expected_calibration_error(reliability_bins(probability, right))
    assert error == pytest.approx((30 * 0.05 + 10 * 0.95) / 40)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        reliability_bins(np.array([value]), np.array([True]))


def probability(found: Logistic, rows: np.ndarray) -> np.ndarray:
    return np.asarray(expit(found.intercept + rows @ np.asarray(found.weights)))


def test_the_logistic_regression_finds_the_planted_weights() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(100_000, 2))
    planted = Logistic(0.5, (1.5, -2.0))
    found = fit_logistic(rows, rng.random(len(rows)) < probability(planted, rows))
    assert (found.intercept, *found.weights) == pytest.approx((0.5, 1.5, -2.0), abs=0.05)


def test_the_logistic_regression_stays_finite_where_all_is_right() -> None:
    found = fit_logistic(np.linspace(-1, 1, 50)[:, None], np.ones(50, dtype=bool))
    assert np.isfinite((found.intercept, *found.weights)).all()
    assert (probability(found, np.zeros((1, 1))) > 0.99).all()
