"""Every alignment finds the scale and shift that were planted, and none that has no meaning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redepth.errors import ConfigError
from redepth.metrics.alignments import (
    Alignment,
    align_to_depth,
    align_to_disparity,
    as_depth,
    as_disparity,
    check_alignment,
    disparity_alignment,
    fit_ransac,
)
from redepth.types import DepthKind

DISPARITY, DEPTH, METRIC = (
    DepthKind.AFFINE_DISPARITY,
    DepthKind.AFFINE_DEPTH,
    DepthKind.METRIC_DEPTH,
)
HW = (12, 16)
scales = st.floats(0.01, 100.0)
shifts = st.floats(-5.0, 5.0)
seeds = st.integers(0, 2**16)


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a depth from 1 to 9 and a mask that knows most of it."""
    rng = np.random.default_rng(seed)
    return rng.uniform(1.0, 9.0, HW), rng.random(HW) < 0.8


@pytest.mark.parametrize(
    "alignment", [Alignment.SCALE_SHIFT_DISPARITY, Alignment.REDEPTH, Alignment.RANSAC]
)
@settings(max_examples=20)
@given(seed=seeds, scale=scales, shift=shifts)
def test_an_affine_disparity_becomes_the_depth_it_was_made_of(
    alignment: Alignment, seed: int, scale: float, shift: float
) -> None:
    depth, mask = scene(seed)
    found = align_to_depth((1 / depth - shift) / scale, DISPARITY, depth, mask, alignment)
    np.testing.assert_allclose(found, depth, rtol=1e-6)


@pytest.mark.parametrize("alignment", [Alignment.SCALE_SHIFT_DEPTH, Alignment.RANSAC])
@pytest.mark.parametrize("kind", [DEPTH, METRIC])
@settings(max_examples=20)
@given(seed=seeds, scale=scales, shift=shifts)
def test_an_affine_depth_becomes_the_depth_it_was_made_of(
    alignment: Alignment, kind: DepthKind, seed: int, scale: float, shift: float
) -> None:
    depth, mask = scene(seed)
    found = align_to_depth((depth - shift) / scale, kind, depth, mask, alignment)
    np.testing.assert_allclose(found, depth, rtol=1e-6)


@pytest.mark.parametrize("kind", [DISPARITY, DEPTH, METRIC])
@given(seed=seeds, scale=scales)
def test_a_scale_is_found_whatever_the_kind(kind: DepthKind, seed: int, scale: float) -> None:
    depth, mask = scene(seed)
    values = scale / depth if kind is DISPARITY else depth / scale
    found = align_to_depth(values, kind, depth, mask, Alignment.SCALE)
    np.testing.assert_allclose(found, depth, rtol=1e-9)


def test_the_scale_is_the_median_ratio_and_no_outlier_moves_it() -> None:
    depth = np.full((3, 3), 6.0)
    values = np.full((3, 3), 2.0)
    values[0, 0] = 1e-3
    found = align_to_depth(values, METRIC, depth, np.ones((3, 3), bool), Alignment.SCALE)
    assert found[1, 1] == 6.0


def test_metric_depth_needs_no_alignment() -> None:
    depth, mask = scene(0)
    found = align_to_depth(depth * 1.1, METRIC, depth, mask, Alignment.NONE)
    np.testing.assert_array_equal(found, depth * 1.1)


@given(seed=seeds)
def test_what_is_not_in_the_mask_does_not_matter(seed: int) -> None:
    depth, mask = scene(seed)
    wrong = np.where(mask, depth, np.nan)
    values = (1 / depth - 2) / 3
    for alignment in (Alignment.REDEPTH, Alignment.SCALE_SHIFT_DISPARITY, Alignment.RANSAC):
        one = align_to_depth(values, DISPARITY, depth, mask, alignment)
        other = align_to_depth(values, DISPARITY, wrong, mask, alignment)
        np.testing.assert_array_equal(one, other)


@given(seed=seeds, scale=scales, shift=shifts)
@settings(max_examples=20)
def test_ransac_ignores_what_least_squares_cannot(seed: int, scale: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    target, mask = rng.uniform(1.0, 9.0, HW), np.ones(HW, dtype=bool)
    source = (target - shift) / scale
    outliers = rng.random(HW) < 0.2
    source[outliers] += 50.0 / scale
    found = fit_ransac(source, target, mask)
    np.testing.assert_allclose((found.scale, found.shift), (scale, shift), rtol=1e-6, atol=1e-6)


def test_ransac_gives_the_same_answer_twice() -> None:
    rng = np.random.default_rng(0)
    target = rng.uniform(1.0, 9.0, (200, 300))
    source = target + rng.normal(0.0, 2.0, target.shape)
    mask = np.ones(target.shape, dtype=bool)
    assert fit_ransac(source, target, mask) == fit_ransac(source, target, mask)


def test_ransac_of_a_flat_truth_is_least_squares() -> None:
    found = fit_ransac(np.arange(6.0), np.full(6, 3.0), np.ones(6, bool))
    assert (found.scale, found.shift) == pytest.approx((0.0, 3.0))


def test_a_disparity_that_is_not_positive_lies_at_infinity() -> None:
    depth = np.array([[1.0, 2.0, 4.0, 1000.0]])
    mask = np.array([[True, True, True, False]])
    values = np.array([[1.0, 0.5, 0.25, -0.1]])
    found = align_to_depth(values, DISPARITY, depth, mask, Alignment.SCALE_SHIFT_DISPARITY)
    np.testing.assert_allclose(found, [[1.0, 2.0, 4.0, np.inf]])


@pytest.mark.parametrize(
    ("alignment", "kind"),
    [
        (Alignment.NONE, DISPARITY),
        (Alignment.NONE, DEPTH),
        (Alignment.SCALE_SHIFT_DEPTH, DISPARITY),
        (Alignment.SCALE_SHIFT_DISPARITY, DEPTH),
    ],
)
def test_what_has_no_meaning_is_refused(alignment: Alignment, kind: DepthKind) -> None:
    with pytest.raises(ConfigError, match="redepth, ransac"):
        check_alignment(alignment, kind)


@given(seed=seeds, scale=scales, shift=shifts)
@settings(max_examples=20)
@pytest.mark.parametrize("alignment", [Alignment.REDEPTH, Alignment.RANSAC])
def test_a_disparity_truth_is_met_in_disparity(
    alignment: Alignment, seed: int, scale: float, shift: float
) -> None:
    disparity, mask = scene(seed)
    values = (disparity - shift) / scale
    found = align_to_disparity(values, DISPARITY, disparity, mask, alignment)
    np.testing.assert_allclose(found, disparity, rtol=1e-6)


@pytest.mark.parametrize(
    "alignment", [Alignment.NONE, Alignment.SCALE, Alignment.SCALE_SHIFT_DEPTH]
)
def test_what_needs_depth_is_refused_for_a_disparity_truth(alignment: Alignment) -> None:
    with pytest.raises(ConfigError, match="disparity"):
        disparity_alignment(alignment)


def test_inverting_twice_changes_nothing() -> None:
    depth, _ = scene(3)
    np.testing.assert_allclose(as_depth(as_disparity(depth, METRIC), DISPARITY), depth)
    np.testing.assert_array_equal(as_disparity(np.array([[-1.0, 0.0]]), METRIC), [[0.0, 0.0]])
    np.testing.assert_array_equal(as_depth(np.array([[-1.0, 0.0]]), DISPARITY), [[np.inf] * 2])


def test_an_empty_mask_is_an_error() -> None:
    depth = np.ones(HW)
    for alignment in (Alignment.SCALE, Alignment.REDEPTH, Alignment.RANSAC):
        with pytest.raises(ValueError, match="mask is empty"):
            align_to_depth(depth, METRIC, depth, np.zeros(HW, bool), alignment)
