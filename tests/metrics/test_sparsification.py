"""Areas under orders whose value is known: the oracle, a random one, the worst."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.metrics.sparsification import sparsify

ERRORS = np.random.default_rng(0).exponential(1.0, 4000)


def test_the_error_itself_is_an_oracle() -> None:
    found = sparsify(ERRORS, ERRORS)
    assert found.ause == 0.0
    assert np.array_equal(found.curve_k, found.oracle_k)


def test_a_random_order_is_worth_one() -> None:
    rng = np.random.default_rng(1)
    values = [sparsify(ERRORS, rng.random(ERRORS.size)).ause for _ in range(50)]
    assert np.mean(values) == pytest.approx(1.0, abs=0.02)


def test_a_wrong_order_is_worth_more_than_a_random_one() -> None:
    assert sparsify(ERRORS, -ERRORS).ause > 1.5


def test_the_curve_of_a_uniform_error_is_a_straight_line() -> None:
    """Errors 1 .. n, the largest first: what is left after a share s has the mean (1 - s) / 2."""
    errors = np.arange(1.0, 1001.0)
    share = np.arange(50) / 50
    assert sparsify(errors, errors).curve_k == pytest.approx(1.0 - share, abs=2e-3)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100.0))
def test_only_the_order_of_the_uncertainty_and_the_shape_of_the_error_count(
    seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    errors, uncertainty = rng.random(200), rng.random(200)
    expected = sparsify(errors, uncertainty).ause
    assert sparsify(scale * errors, uncertainty).ause == pytest.approx(expected)
    assert sparsify(errors, np.exp(scale * uncertainty / 100)).ause == pytest.approx(expected)


def test_errors_that_are_all_alike_cannot_be_ordered() -> None:
    assert np.isnan(sparsify(np.ones(100), np.arange(100.0)).ause)


@pytest.mark.parametrize("errors", [np.zeros(100), np.ones(10)])
def test_too_little_to_sparsify_is_an_error(errors: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"error|expected"):
        sparsify(errors, np.arange(float(errors.size)))
