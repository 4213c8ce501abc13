"""Scores of maps whose error is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from redepth.datasets.ground_truth import DepthLimits, GroundTruthKind, make_ground_truth
from redepth.errors import ConfigError
from redepth.evaluation.scores import (
    TITLES,
    EdgeProtocol,
    Scores,
    align_map,
    alignment_for,
    larger_is_better,
    resize_map,
    score_depth,
    score_map,
)
from redepth.geometry.camera import Pinhole
from redepth.lab.scoring import score
from redepth.metrics.alignments import Alignment
from redepth.metrics.boundaries import depth_or_disparity_edges
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Split
from redepth.types import DepthKind
from tests.evaluation.evaluation_samples import KIND, erring_disparity, true_depth

METRIC = DepthKind.METRIC_DEPTH
CAMERA = Pinhole(40.0, 40.0, 16.0, 12.0)


def test_an_exact_map_has_no_error_and_all_its_edges() -> None:
    truth = make_ground_truth(true_depth(0), has_edges=True, camera=CAMERA)
    found = score_map(erring_disparity(0, 0.0), KIND, truth, Alignment.REDEPTH)
    assert found.abs_rel == pytest.approx(0.0, abs=1e-6)
    assert found.delta1 == found.delta_1_05 == found.share_scored == 1.0
    assert (found.edge_accuracy_px, found.edge_completeness_px, found.edge_f1) == (0.0, 0.0, 1.0)
    assert found.normal_deg == pytest.approx(0.0, abs=1e-3)


def test_a_known_factor_is_the_error_of_a_metric_map() -> None:
    truth = make_ground_truth(true_depth(0))
    values = (1.1 * true_depth(0)).astype(np.float32)
    found = score_map(values, METRIC, truth, Alignment.NONE)
    assert found.abs_rel == pytest.approx(0.1, rel=1e-5)
    assert found.log10 == pytest.approx(math.log10(1.1), rel=1e-4)
    assert (found.delta1, found.delta_1_05) == (1.0, 0.0)


def test_scores_that_the_ground_truth_does_not_tell_are_nan() -> None:
    truth = make_ground_truth(true_depth(0))
    found = score_map(erring_disparity(0, 0.1), KIND, truth, Alignment.REDEPTH)
    assert math.isnan(found.edge_f1)
    assert math.isnan(found.normal_deg)
    dense = make_ground_truth(true_depth(0), has_edges=True)
    found = score_map(erring_disparity(0, 0.1), KIND, dense, Alignment.REDEPTH)
    assert math.isfinite(found.edge_recall)
    assert math.isnan(found.normal_deg)


def test_holes_make_no_edges() -> None:
    depth = np.full((24, 32), 3.0)
    known = np.ones(depth.shape, dtype=bool)
    known[8:16, 10:20] = False
    truth = make_ground_truth(depth, known, has_edges=True)
    found = score_map(erring_disparity(0, 0.0), KIND, truth, Alignment.REDEPTH)
    assert math.isnan(found.edge_f1), "a flat truth has no edges"


def test_a_prediction_is_clamped_to_the_cap() -> None:
    truth = make_ground_truth(true_depth(0), limits=DepthLimits(1e-3, 10.0))
    values = np.full((24, 32), 40.0, dtype=np.float32)
    values[0, 0] = -3.0
    aligned = align_map(values, METRIC, truth, Alignment.NONE)
    assert aligned[0, 0] == 1e-3
    assert aligned[5, 5] == 10.0


def test_without_a_cap_what_lies_behind_infinity_is_counted_as_not_scored() -> None:
    truth = make_ground_truth(true_depth(0))
    values = true_depth(0).astype(np.float32)
    values[:12] = -1.0
    found = score_map(values, METRIC, truth, Alignment.NONE)
    assert found.share_scored == 0.5
    assert found.abs_rel == pytest.approx(0.0, abs=1e-6)


def test_a_disparity_truth_is_measured_in_disparity() -> None:
    disparity = 20.0 / true_depth(0)
    truth = make_ground_truth(disparity, kind=GroundTruthKind.DISPARITY, unit="px")
    values = (3.0 * disparity - 7.0).astype(np.float32)
    found = score_map(values, KIND, truth, Alignment.REDEPTH)
    assert found.rmse == pytest.approx(0.0, abs=1e-4)
    with pytest.raises(ConfigError, match="disparity"):
        align_map(values, KIND, truth, Alignment.SCALE)


@pytest.mark.parametrize(("family", "seed"), [("coins", 1), ("solids", 2)])
def test_the_lab_measures_the_same(family: str, seed: int) -> None:
    scene = render_scene(family, seed, 32, Split.HELD_OUT)
    noise = np.random.default_rng(0).normal(1.0, 0.02, scene.depth_hw.shape)
    disparity = (1.0 / (scene.depth_hw * noise)).astype(np.float32)
    whole = np.ones(scene.depth_hw.shape, dtype=bool)
    theirs = score(disparity, scene, whole)
    truth = make_ground_truth(scene.depth_hw)
    ours = score_map(disparity, KIND, truth, Alignment.REDEPTH)
    assert ours.abs_rel == pytest.approx(theirs.abs_rel, rel=1e-5)
    assert ours.delta_1_05 == theirs.delta_1_05


def test_a_smooth_map_is_resized_bilinearly_and_a_map_with_holes_by_nearest_pixels() -> None:
    ramp = np.tile(np.arange(8, dtype=np.float32), (4, 1))
    larger = resize_map(ramp, (8, 16))
    np.testing.assert_allclose(larger[3, 1:-1], (np.arange(1, 15) - 0.5) / 2)
    holed = ramp.copy()
    holed[0, 0] = np.nan
    assert np.isnan(resize_map(holed, (8, 16))).sum() == 4
    assert resize_map(ramp, (4, 8)) is ramp


def test_every_metric_has_a_title_that_says_which_way_is_better() -> None:
    assert list(TITLES) == list(Scores.__dataclass_fields__)
    assert larger_is_better("delta1")
    assert not larger_is_better("abs_rel")


def test_edges_of_the_prediction_do_not_depend_on_a_stray_pixel() -> None:
    truth = make_ground_truth(true_depth(0), has_edges=True)
    values = erring_disparity(0, 0.0)
    values[0, 0] = values.max() * 30
    stray = replace(truth, mask_hw=truth.mask_hw & (values < values.max()))
    found = score_map(values, KIND, stray, Alignment.REDEPTH)
    assert found.edge_recall == 1.0


@pytest.mark.parametrize(("gap", "counts"), [(2, False), (5, True)])
def test_an_edge_within_two_pixels_of_a_hole_does_not_count(gap: int, counts: bool) -> None:
    depth = np.where(np.arange(32) < 12, 2.0, 4.0) * np.ones((24, 1))
    column = int(np.flatnonzero(depth_or_disparity_edges(depth).any(axis=0))[0])
    known = np.ones(depth.shape, dtype=bool)
    known[:, column + gap : column + gap + 3] = False
    truth = make_ground_truth(depth, known, has_edges=True)
    found = score_map(depth.astype(np.float32), METRIC, truth, Alignment.NONE)
    assert math.isfinite(found.edge_f1) == counts


@pytest.mark.parametrize(
    ("kind", "unit", "truth_kind", "expected"),
    [
        (DepthKind.METRIC_DEPTH, "m", GroundTruthKind.DEPTH, Alignment.NONE),
        (DepthKind.METRIC_DEPTH, "half heights", GroundTruthKind.DEPTH, Alignment.SCALE),
        (DepthKind.AFFINE_DEPTH, "m", GroundTruthKind.DEPTH, Alignment.SCALE_SHIFT_DEPTH),
        (DepthKind.AFFINE_DISPARITY, "m", GroundTruthKind.DEPTH, Alignment.SCALE_SHIFT_DISPARITY),
        *(
            (kind, "px", GroundTruthKind.DISPARITY, Alignment.SCALE_SHIFT_DISPARITY)
            for kind in DepthKind
        ),
    ],
)
def test_the_default_alignment_fits_what_is_free_and_no_more(
    kind: DepthKind, unit: str, truth_kind: GroundTruthKind, expected: Alignment
) -> None:
    truth = make_ground_truth(np.ones((4, 6)), unit=unit, kind=truth_kind)
    assert alignment_for(None, kind, truth) is expected


def test_exact_depth_is_compared_without_repair() -> None:
    """A stray pixel is clipped for measured depth; an exact one keeps it, and loses its edges."""
    truth = make_ground_truth(true_depth(0), has_edges=True)
    aligned = true_depth(0)
    aligned[0, 0] = 500.0
    assert score_depth(aligned, truth).edge_recall == 1.0
    exact = EdgeProtocol(depth_or_disparity_edges, repairs=False, near_only=False)
    assert score_depth(aligned, truth, exact).edge_precision < 1.0
    assert score_depth(true_depth(0), truth, exact).edge_f1 == 1.0
