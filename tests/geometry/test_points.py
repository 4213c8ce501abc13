"""Points where they are seen, and no point between two surfaces."""

from __future__ import annotations

import math

import numpy as np
import pytest

from redepth.geometry.camera import Pinhole
from redepth.geometry.points import flying_pixels, point_cloud
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Split

VIEW = Pinhole.centred(100.0, 100.0, (5, 7))


def grey(depth_hw: np.ndarray) -> np.ndarray:
    return np.full((*depth_hw.shape, 3), 128, np.uint8)


def test_points_of_a_scene_are_projected_to_their_pixels() -> None:
    scene = render_scene("solids", 0, 48, Split.TUNING)
    assert scene.camera is not None
    cloud = point_cloud(scene.depth_hw, scene.rgb_hw3, scene.camera, keep_edges=True)
    columns, rows = scene.camera.project(cloud.xyz_n3.astype(np.float64))
    expected_rows, expected_columns = np.mgrid[:48, :48]
    np.testing.assert_allclose(columns, expected_columns.ravel(), atol=1e-3)
    np.testing.assert_allclose(rows, expected_rows.ravel(), atol=1e-3)
    np.testing.assert_array_equal(cloud.rgb_n3, scene.rgb_hw3.reshape(-1, 3))


def test_each_side_has_its_own_focal_length() -> None:
    points = Pinhole.centred(10.0, 20.0, (3, 5)).unproject(np.full((3, 5), 4.0, np.float32))
    assert points[0, 0].tolist() == pytest.approx([-2 / 10 * 4, -1 / 20 * 4, 4])


def step_edge(*between: float) -> np.ndarray:
    row = np.array([2.0, 2.0, 2.0, *between, 4.0, 4.0, 4.0], np.float32)
    return np.tile(row, (5, 1))


def test_a_clean_edge_keeps_every_point() -> None:
    assert not flying_pixels(step_edge(), VIEW).any()


@pytest.mark.parametrize("between", [(3.0,), (2.7, 3.4), (2.5, 3.0, 3.5)])
def test_pixels_between_two_surfaces_fly(between: tuple[float, ...]) -> None:
    """At 100 px the limit is 0.114 of the depth a pixel."""
    expected = np.zeros_like(step_edge(*between), dtype=bool)
    expected[:, 3 : 3 + len(between)] = True
    np.testing.assert_array_equal(flying_pixels(step_edge(*between), VIEW), expected)
    np.testing.assert_array_equal(flying_pixels(step_edge(*between).T, VIEW), expected.T)


def test_a_thin_thing_before_a_wall_stays() -> None:
    depth = np.full((7, 7), 4.0, np.float32)
    depth[:, 3] = 1.0
    assert not flying_pixels(depth, VIEW).any()


@pytest.mark.parametrize(("tilt_deg", "flies"), [(80.0, False), (84.0, False), (87.0, True)])
def test_a_wall_stays_up_to_85_degrees(tilt_deg: float, flies: bool) -> None:
    """A wall x = (z - 3) / tan(tilt), seen at its tilt in the middle of the picture."""
    view = Pinhole.centred(500.0, 500.0, (5, 5))
    u = (np.arange(5) - 2) / 500.0
    z = 3.0 / (1.0 - u * math.tan(math.radians(tilt_deg)))
    depth = np.tile(z.astype(np.float32), (5, 1))
    assert flying_pixels(depth, view)[2, 2] == flies


def test_unknown_pixels_are_no_points_and_make_none_fly() -> None:
    depth = step_edge(3.0)
    depth[:, 6:] = np.nan
    cloud = point_cloud(depth, grey(depth), VIEW)
    assert (len(cloud), cloud.num_flying, cloud.num_unknown) == (25, 5, 5)
    kept = point_cloud(depth, grey(depth), VIEW, keep_edges=True)
    assert (len(kept), kept.num_flying) == (30, 0)
    assert np.isfinite(kept.xyz_n3).all()
