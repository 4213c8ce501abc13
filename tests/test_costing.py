"""What labelling would cost, and where the figure comes from."""

from __future__ import annotations

import pytest

from redepth.config import Cost
from redepth.costing import estimate_cost


def test_measured_seconds_win_over_the_recipes() -> None:
    estimate = estimate_cost(7200, Cost(seconds_per_image=100.0), 2.0, 50)
    assert estimate is not None
    assert estimate.actor_hours == pytest.approx(4.0)
    assert "mean of 50 labels already there" in estimate.basis
    assert estimate.price is None


def test_recipes_estimate_and_price() -> None:
    cost = Cost(seconds_per_image=36.0, price_per_actor_hour=2.5)
    estimate = estimate_cost(1000, cost, None, 0)
    assert estimate is not None
    assert estimate.actor_hours == pytest.approx(10.0)
    assert estimate.price == pytest.approx(25.0)
    assert "run.cost.seconds_per_image" in estimate.basis


def test_without_either_there_is_no_estimate() -> None:
    assert estimate_cost(10, Cost(), None, 0) is None
