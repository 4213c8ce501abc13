"""Spearman's rank correlation against SciPy's, and what it is by definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.stats import rankdata, spearmanr

from redepth.labelling.ranks import rank_correlation, ranked
from redepth.types import FloatMap

FEW = np.array([-2.5, -1e-30, -0.0, 0.0, 1e-38, 3.0, 3.0000002, 1e30], dtype=np.float32)
any_floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
lengths = st.integers(2, 60)


@given(
    st.one_of(
        npst.arrays(np.float32, lengths, elements=any_floats),
        npst.arrays(np.float32, lengths, elements=st.sampled_from(FEW.tolist())),
    )
)
def test_ranks_are_scipys_less_their_mean(values_n: FloatMap) -> None:
    found = ranked(values_n)
    assert np.array_equal(found.values_n, np.sort(values_n))
    assert np.array_equal(values_n[found.order_n], found.values_n)
    expected_n = rankdata(values_n)[found.order_n] - (values_n.size + 1) / 2
    assert np.array_equal(found.ranks_n, expected_n)


@given(seed=st.integers(0, 2**32 - 1), num_values=st.integers(2, 30), size=st.integers(3, 300))
def test_the_correlation_is_scipys(seed: int, num_values: int, size: int) -> None:
    """Of values that occur several times, negative ones among them."""
    rng = np.random.default_rng(seed)
    first = (rng.integers(-num_values, num_values, size) / 7).astype(np.float32)
    second = (first + rng.integers(-num_values, num_values, size)).astype(np.float32)
    if len(set(first.tolist())) == 1 or len(set(second.tolist())) == 1:
        return
    found = rank_correlation(ranked(first), ranked(second))
    assert found == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


def test_as_many_pixels_as_a_map_has() -> None:
    """So many that torch sorts by digits, with a tenth of them tied."""
    rng = np.random.default_rng(0)
    first = np.round(rng.normal(size=268_324), 5).astype(np.float32)
    second = np.round(first + rng.normal(size=first.size), 5).astype(np.float32)
    found = rank_correlation(ranked(first), ranked(second))
    assert found == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


def test_the_same_order_is_1_and_the_reverse_minus_1() -> None:
    rising = np.sort(np.random.default_rng(0).normal(size=1000)).astype(np.float32)
    squared = rising * np.abs(rising)
    assert rank_correlation(ranked(rising), ranked(squared)) == 1.0
    assert rank_correlation(ranked(rising), ranked(-squared)) == -1.0


def test_a_constant_map_has_no_order() -> None:
    rising = np.arange(5, dtype=np.float32)
    assert np.isnan(rank_correlation(ranked(rising), ranked(np.zeros_like(rising))))
