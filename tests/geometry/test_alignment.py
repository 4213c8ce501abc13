"""Least-squares alignment against its own definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.geometry.alignment import align_all, align_disparity_then_depth, fit_affine

VALUES = np.random.default_rng(0).uniform(1.0, 4.0, (6, 8))


@given(scale=st.floats(-50, 50), shift=st.floats(-1e3, 1e3))
def test_recovers_an_exact_affine_change(scale: float, shift: float) -> None:
    fitted = fit_affine(VALUES, scale * VALUES + shift)
    assert fitted.scale == pytest.approx(scale, abs=1e-8)
    assert fitted.shift == pytest.approx(shift, abs=1e-7)


def test_residual_is_orthogonal_to_what_was_fitted() -> None:
    target = np.random.default_rng(1).normal(size=VALUES.shape)
    residual = fit_affine(VALUES, target).apply(VALUES) - target
    assert abs(residual.sum()) < 1e-10
    assert abs((residual * VALUES).sum()) < 1e-10


def test_mask_decides_which_pixels_count() -> None:
    mask = np.zeros(VALUES.shape, dtype=bool)
    mask[:3] = True
    target = np.where(mask, 2 * VALUES + 1, -100.0)
    fitted = fit_affine(VALUES, target, mask)
    assert (fitted.scale, fitted.shift) == pytest.approx((2.0, 1.0))


def test_constant_source_gives_the_mean() -> None:
    fitted = fit_affine(np.full((4, 4), 7.0), np.arange(16.0).reshape(4, 4))
    assert (fitted.scale, fitted.shift) == (0.0, 7.5)


def test_empty_mask_and_unequal_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="mask is empty"):
        fit_affine(VALUES, VALUES, np.zeros(VALUES.shape, dtype=bool))
    with pytest.raises(ValueError, match="cannot align"):
        fit_affine(VALUES, VALUES[:3])


def test_two_steps_recover_depth_from_its_own_disparity() -> None:
    mask = np.ones(VALUES.shape, dtype=bool)
    aligned = align_disparity_then_depth(3.0 / VALUES - 0.2, VALUES, mask)
    assert np.allclose(aligned.depth_hw, VALUES)


@given(offset=st.floats(-1e5, 1e5), scale=st.floats(0.1, 1e3), seed=st.integers(0, 2**32 - 1))
def test_the_fit_is_that_of_a_least_squares_solver(offset: float, scale: float, seed: int) -> None:
    """Also far from 0, where sums of squares would lose the digits that count."""
    rng = np.random.default_rng(seed)
    source, target = scale * VALUES + offset, rng.normal(size=VALUES.shape)
    slope, level = np.polyfit((source - source.mean()).ravel(), target.ravel(), 1)
    fitted = fit_affine(source, target)
    assert fitted.scale == pytest.approx(slope, rel=1e-5, abs=1e-12)
    assert fitted.apply(source).mean() == pytest.approx(level, abs=1e-6)


@given(seed=st.integers(0, 2**32 - 1), num=st.integers(1, 5), offset=st.floats(-1e3, 1e3))
def test_sources_aligned_together_are_those_aligned_alone(
    seed: int, num: int, offset: float
) -> None:
    rng = np.random.default_rng(seed)
    sources = (rng.normal(size=(num, 6, 8)) + offset).astype(np.float32)
    sources[0] = 7.0  # without a scale
    together = align_all(sources, VALUES)
    alone = [fit_affine(source, VALUES).apply(source) for source in sources]
    assert together.dtype == np.float64
    assert np.allclose(together, alone, rtol=1e-9)
    assert together[0] == pytest.approx(VALUES.mean())


def test_alignment_leaves_its_arguments_alone() -> None:
    source, target = VALUES.copy(), 2 * VALUES
    fit_affine(source, target)
    align_all(source[None], target)
    assert np.array_equal(source, VALUES)
    assert np.array_equal(target, 2 * VALUES)
