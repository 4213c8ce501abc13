"""Labels brought to sparse points: the scale comes back whatever a fifth of the points says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redepth.geometry.camera import Doubles
from redepth.reconstruction.aligning import (
    AlignmentRules,
    SparseAlignment,
    align_to_points,
    aligned_depth,
)
from redepth.reconstruction.model import SeenPoints
from redepth.types import DepthKind, FloatMap

DISPARITY, DEPTH, METRIC = (
    DepthKind.AFFINE_DISPARITY,
    DepthKind.AFFINE_DEPTH,
    DepthKind.METRIC_DEPTH,
)
RULES = AlignmentRules()
SIZE_HW = (60, 80)
SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.floats(-3, 3).map(lambda power: 10.0**power)
SHIFTS = st.floats(-2, 2)


def rendered_depth(rng: np.random.Generator) -> FloatMap:
    """Return a floor that recedes from 2 to 10, with boxes on it."""
    height, width = SIZE_HW
    depth_hw = np.repeat(np.linspace(10, 2, height)[:, None], width, axis=1)
    for _ in range(4):
        row, column = rng.integers(0, height - 12), rng.integers(0, width - 12)
        depth_hw[row : row + 12, column : column + 12] = rng.uniform(2, 6)
    return depth_hw.astype(np.float32)


def label_of(depth_hw: FloatMap, kind: DepthKind, scale: float, shift: float) -> FloatMap:
    """Return the label whose alignment is exactly this scale and shift."""
    target_hw = 1 / depth_hw if kind is DISPARITY else depth_hw
    return ((target_hw - shift) / scale).astype(np.float32)


def points_on(
    depth_hw: FloatMap,
    rng: np.random.Generator,
    number: int = 200,
    outliers: float = 0.2,
    noise: float = 0.01,
) -> SeenPoints:
    """Return points of random pixels; some have any depth at all."""
    height, width = depth_hw.shape
    rows, columns = rng.integers(0, height, number), rng.integers(0, width, number)
    depth_n = depth_hw[rows, columns] * (1 + noise * rng.standard_normal(number))
    wrong = rng.permutation(number)[: int(outliers * number)]
    depth_n[wrong] = rng.uniform(0.5, 20, len(wrong))
    return SeenPoints((columns + 0.5) / width, (rows + 0.5) / height, depth_n.astype(np.float64))


def aligned(
    kind: DepthKind, scale: float, shift: float, seed: int, rules: AlignmentRules = RULES
) -> tuple[SparseAlignment, FloatMap, FloatMap]:
    rng = np.random.default_rng(seed)
    depth_hw = rendered_depth(rng)
    label_hw = label_of(depth_hw, kind, scale, shift)
    return align_to_points(label_hw, kind, points_on(depth_hw, rng), rules), label_hw, depth_hw


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([DISPARITY, DEPTH]), SCALES, SHIFTS, SEEDS)
def test_scale_is_within_one_percent_with_a_fifth_of_outliers(
    kind: DepthKind, scale: float, shift: float, seed: int
) -> None:
    found, label_hw, depth_hw = aligned(kind, scale, shift, seed)
    assert found.is_aligned and found.reason is None
    assert found.scale == pytest.approx(scale, rel=0.01)
    assert found.num_points == 200 and 0.75 <= found.inlier_share <= 0.9
    assert found.residual is not None and 0.004 < found.residual < 0.02
    np.testing.assert_allclose(aligned_depth(label_hw, kind, found), depth_hw, rtol=0.03)


@settings(max_examples=50, deadline=None)
@given(SCALES, SEEDS)
def test_a_metric_label_has_a_scale_alone(scale: float, seed: int) -> None:
    found, label_hw, depth_hw = aligned(METRIC, scale, 0.0, seed)
    assert found.is_aligned and found.shift == 0.0
    assert found.scale == pytest.approx(scale, rel=0.01)
    np.testing.assert_allclose(aligned_depth(label_hw, METRIC, found), depth_hw, rtol=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_a_metric_label_is_shifted_where_that_is_asked_for(seed: int) -> None:
    rules = AlignmentRules(metric_shift=True)
    found, _, _ = aligned(METRIC, 1.1, -0.7, seed, rules)
    assert found.scale == pytest.approx(1.1, rel=0.01)
    assert found.shift == pytest.approx(-0.7, abs=0.05)


@pytest.mark.parametrize("kind", [DISPARITY, DEPTH, METRIC])
@pytest.mark.parametrize("seed", range(5))
def test_without_noise_the_fit_is_exact_with_two_fifths_of_outliers(
    kind: DepthKind, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    depth_hw = rendered_depth(rng)
    label_hw = label_of(depth_hw, kind, 2.5, 0.0)
    seen = points_on(depth_hw, rng, 300, outliers=0.4, noise=0.0)
    found = align_to_points(label_hw, kind, seen, RULES)
    assert found.scale == pytest.approx(2.5, rel=2e-3)


def test_a_plain_least_squares_fit_would_not_do() -> None:
    """Else outliers would not be a test of anything."""
    rng = np.random.default_rng(0)
    depth_hw = rendered_depth(rng)
    seen = points_on(depth_hw, rng)
    label_hw = label_of(depth_hw, DISPARITY, 1.0, 0.0)
    values_n: Doubles = label_hw[seen.pixels(SIZE_HW)].astype(np.float64)
    slope, _ = np.polyfit(values_n, 1 / seen.depth_n, 1)
    assert abs(slope - 1) > 0.05


def test_too_few_points_are_an_outcome() -> None:
    rng = np.random.default_rng(0)
    depth_hw = rendered_depth(rng)
    found = align_to_points(depth_hw, DEPTH, points_on(depth_hw, rng, 19), RULES)
    assert not found.is_aligned and found.scale is None and found.num_points == 19
    assert found.reason == "it sees 19 points, expected 20 or more"
    nothing = SeenPoints(np.zeros(0), np.zeros(0), np.zeros(0))
    assert align_to_points(depth_hw, DEPTH, nothing, RULES).num_points == 0


def test_points_on_pixels_without_a_value_do_not_count() -> None:
    rng = np.random.default_rng(0)
    depth_hw = rendered_depth(rng)
    seen = points_on(depth_hw, rng)
    holed_hw = depth_hw.copy()
    holed_hw[:30] = np.nan
    found = align_to_points(holed_hw, METRIC, seen, RULES)
    assert found.is_aligned and found.num_points == int((seen.rows_n >= 0.5).sum())


def test_points_of_another_scene_are_an_outcome() -> None:
    rng = np.random.default_rng(1)
    depth_hw = rendered_depth(rng)
    seen = points_on(depth_hw, rng, outliers=1.0)
    found = align_to_points(label_of(depth_hw, METRIC, 1, 0), METRIC, seen, RULES)
    assert not found.is_aligned
    assert found.reason is not None and "points are within 10%" in found.reason
    assert found.inlier_share < 0.5


def test_a_label_the_wrong_way_round_is_an_outcome() -> None:
    rng = np.random.default_rng(0)
    depth_hw = rendered_depth(rng)
    found = align_to_points(-depth_hw, DEPTH, points_on(depth_hw, rng), RULES)
    assert not found.is_aligned and "order of depth" in str(found.reason)


def test_a_wall_does_not_tell_scale_from_shift() -> None:
    rng = np.random.default_rng(0)
    wall_hw = np.full(SIZE_HW, 4.0, dtype=np.float32)
    uneven_hw = (wall_hw + 0.001 * rng.standard_normal(SIZE_HW)).astype(np.float32)
    for label_hw in (wall_hw, uneven_hw):
        found = align_to_points(label_hw, DEPTH, points_on(wall_hw, rng, outliers=0.0), RULES)
        assert not found.is_aligned
        assert found.reason is not None and (
            "too few depths" in found.reason or "order" in found.reason
        )
        assert align_to_points(label_hw, METRIC, points_on(wall_hw, rng), RULES).is_aligned


def test_what_is_farther_than_anything_has_no_depth() -> None:
    label_hw = np.array([[0.5, 0.1, -0.1, np.nan]], dtype=np.float32)
    found = aligned(DISPARITY, 1.0, 0.0, 0)[0]
    depth_hw = aligned_depth(label_hw, DISPARITY, found)
    assert depth_hw.dtype == np.float32
    assert np.isfinite(depth_hw).tolist() == [[True, True, False, False]]


def test_more_points_make_it_more_exact() -> None:
    """Repeated medians look at 500 of them; what follows rests on all."""
    errors = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        depth_hw = rendered_depth(rng)
        seen = points_on(depth_hw, rng, number=20_000)
        found = align_to_points(label_of(depth_hw, DISPARITY, 3.0, 0.1), DISPARITY, seen, RULES)
        assert found.scale is not None
        errors.append(abs(found.scale / 3.0 - 1))
    assert np.mean(errors) < 7e-4
