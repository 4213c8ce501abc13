"""Errors of a label against the exact depth of its scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from redepth.report.scene_errors import scene_errors
from redepth.scenes.collection import truth_beside, write_collection
from redepth.scenes.scene import Split
from redepth.types import DepthKind

TRUTH = np.linspace(1.0, 3.0, 20 * 30, dtype=np.float32).reshape(20, 30)


@pytest.mark.parametrize(
    ("kind", "exact"),
    [(DepthKind.AFFINE_DISPARITY, 5.0 / TRUTH - 0.7), (DepthKind.AFFINE_DEPTH, 0.2 * TRUTH + 4.0)],
)
def test_an_affine_change_of_the_truth_is_no_error(kind: DepthKind, exact: np.ndarray) -> None:
    wrong = exact.astype(np.float32)
    wrong[:, :15] = wrong.mean()
    errors = scene_errors(wrong, exact.astype(np.float32), kind, TRUTH)
    assert errors.refined_hw.max() < 1e-5
    assert errors.coarse_hw.mean() > 0.01


def test_a_smaller_map_is_resized_to_the_truth() -> None:
    errors = scene_errors(TRUTH[::2, ::2], TRUTH, DepthKind.AFFINE_DEPTH, TRUTH)
    assert errors.coarse_hw.shape == TRUTH.shape
    assert errors.coarse_hw.mean() < 0.02


def test_truth_is_found_beside_a_scene_and_nowhere_else(tmp_path: Path) -> None:
    (row,) = write_collection(tmp_path, ["swells"], 1, 16, Split.TUNING)
    truth = truth_beside(tmp_path / row.uri)
    assert truth is not None
    assert truth.depth_hw.shape == (16, 16)
    assert truth_beside(tmp_path / "images" / "swells" / "another.png") is None
    assert truth_beside(tmp_path / "holiday.png") is None


def test_metres_are_compared_as_they_are_and_holes_stay_holes() -> None:
    coarse, refined = 1.1 * TRUTH, TRUTH.copy()
    refined[0] = np.nan
    errors = scene_errors(coarse, refined, DepthKind.METRIC_DEPTH, TRUTH)
    np.testing.assert_allclose(errors.coarse_hw, 0.1, rtol=1e-4)
    assert np.isnan(errors.refined_hw[0]).all()
    assert (errors.refined_hw[1:] == 0).all()
