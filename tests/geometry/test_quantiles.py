"""Ranges between quantiles against NumPy's own quantiles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from redepth.geometry.quantiles import range_between, range_of_sorted, values_where

shares = st.floats(0.0, 1.0)
values = npst.arrays(np.float64, st.integers(1, 80), elements=st.floats(-1e6, 1e6))


@given(values_n=values, first=shares, second=shares)
def test_it_is_numpys_to_the_last_bit(
    values_n: npt.NDArray[np.float64], first: float, second: float
) -> None:
    low, high = sorted((first, second))
    at_low, at_high = np.quantile(values_n, (low, high))
    assert range_between(values_n, low, high) == at_high - at_low
    assert range_of_sorted(np.sort(values_n), low, high) == at_high - at_low


@given(values_n=values)
def test_float32_is_interpolated_in_float64(values_n: npt.NDArray[np.float64]) -> None:
    narrow_n = values_n.astype(np.float32)
    wide_n = narrow_n.astype(np.float64)
    assert range_between(narrow_n, 0.02, 0.98) == range_between(wide_n, 0.02, 0.98)


def test_it_leaves_the_values_in_their_order() -> None:
    values_n = np.random.default_rng(0).normal(size=1000)
    before_n = values_n.copy()
    range_between(values_n, 0.05, 0.95)
    assert np.array_equal(values_n, before_n)


@pytest.mark.parametrize("num_unknown", [0, 3])
def test_values_where_a_map_is_known(num_unknown: int) -> None:
    map_hw = np.arange(12.0).reshape(3, 4)
    known_hw = map_hw >= num_unknown
    assert values_where(map_hw, known_hw).tolist() == list(range(num_unknown, 12))
