"""Scores of maps whose error is known, on scenes whose depth is."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from redepth.evaluation.tables import finite_json
from redepth.lab.scoring import Region, camera_of, regions_of, score
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Scene, Split


@pytest.fixture(params=["coins", "dunes", "plants"])
def scene(request: pytest.FixtureRequest) -> Scene:
    return render_scene(request.param, 3, 48, Split.TRAIN)


def test_the_exact_disparity_has_no_error_whatever_its_scale_and_shift(scene: Scene) -> None:
    for mask_hw in regions_of(scene).values():
        found = score(3.0 / scene.depth_hw + 5.0, scene, mask_hw)
        assert found.abs_rel < 1e-6
        assert found.normal_deg < 0.01
        assert (found.delta1, found.delta_1_05) == (1.0, 1.0)
        assert found.edge_f1 == 1.0 or np.isnan(found.edge_f1)


def test_a_worse_map_has_worse_figures(scene: Scene) -> None:
    whole = regions_of(scene)[Region.WHOLE]
    noise = np.random.default_rng(0).normal(0.0, 0.02, scene.depth_hw.shape)
    little, much = (score(1.0 / scene.depth_hw + k * noise, scene, whole) for k in (0.1, 1.0))
    assert 0.0 < little.abs_rel < much.abs_rel
    assert 0.0 < little.normal_deg < much.normal_deg
    assert little.rmse < much.rmse
    assert little.delta_1_05 > much.delta_1_05


def test_points_of_a_relief_have_the_scenes_normals() -> None:
    from redepth.metrics.normals import surface_normals

    scene = render_scene("faces", 0, 48, Split.TRAIN)
    ours = np.abs(surface_normals(camera_of(scene).unproject(scene.depth_hw)))
    assert np.allclose(ours, np.abs(scene.normal_hw3), atol=1e-4)


def test_points_of_objects_lie_on_the_cameras_rays() -> None:
    scene = render_scene("solids", 0, 48, Split.TRAIN)
    assert scene.camera is not None
    columns, rows = scene.camera.project(camera_of(scene).unproject(scene.depth_hw).reshape(-1, 3))
    expected_rows, expected_columns = np.mgrid[:48, :48].reshape(2, -1)
    assert np.allclose(columns, expected_columns, atol=1e-4)
    assert np.allclose(rows, expected_rows, atol=1e-4)


def test_json_has_no_nan() -> None:
    scene = render_scene("swells", 0, 48, Split.TRAIN)
    found = finite_json(asdict(score(np.ones((48, 48)), scene, np.ones((48, 48), dtype=bool))))
    assert found["edge_accuracy_px"] is None
    assert all(value is None or np.isfinite(value) for value in found.values())
