"""Surfaces of a depth map: where they have triangles, and where holes."""

from __future__ import annotations

import numpy as np
import pytest

from redepth.geometry.camera import Pinhole
from redepth.geometry.meshes import surface_mesh
from redepth.geometry.points import surface_normals
from redepth.geometry.relative_depth import relative_depth
from redepth.types import DepthKind, FloatMap

CAMERA = Pinhole.centred(50.0, 50.0, (20, 30))


def grey(depth_hw: FloatMap) -> np.ndarray:
    return np.full((*depth_hw.shape, 3), 128, dtype=np.uint8)


def test_a_wall_is_whole_and_faces_the_camera() -> None:
    wall_hw = np.full((20, 30), 3.0, dtype=np.float32)
    mesh = surface_mesh(wall_hw, grey(wall_hw), CAMERA)
    assert len(mesh.faces_m3) == 2 * 19 * 29 and mesh.num_at_edges == 0
    assert len(mesh.xyz_n3) == len(mesh.rgb_n3) == 600
    first, second, third = (mesh.xyz_n3[mesh.faces_m3[:, i]] for i in range(3))
    normals_m3 = np.cross(second - first, third - first)
    assert (normals_m3[:, 2] < 0).all(), "counter-clockwise as the camera sees them"
    area = np.linalg.norm(normals_m3, axis=1).sum() / 2
    assert area == pytest.approx((29 * 3 / 50) * (19 * 3 / 50), rel=1e-4)


def test_a_step_is_a_hole() -> None:
    step_hw = np.full((20, 30), 3.0, dtype=np.float32)
    step_hw[:, 15:] = 4.0
    mesh = surface_mesh(step_hw, grey(step_hw), CAMERA)
    assert mesh.num_at_edges == 2 * 19
    corners_m3 = mesh.xyz_n3[mesh.faces_m3][..., 2]
    assert (np.ptp(corners_m3, axis=1) == 0).all(), "no triangle is on both sides"


@pytest.mark.parametrize(("share", "is_hole"), [(0.9, False), (1.1, True)])
def test_a_slope_is_a_surface_up_to_85_degrees(share: float, is_hole: bool) -> None:
    steepest = np.tan(np.radians(85)) / 50
    slope_hw = np.tile((1 + share * steepest) ** np.arange(6.0), (4, 1)).astype(np.float32)
    mesh = surface_mesh(slope_hw, grey(slope_hw), CAMERA)
    assert (len(mesh.faces_m3) == 0) is is_hole


def test_what_has_no_depth_has_no_triangle() -> None:
    holed_hw = np.full((20, 30), 3.0, dtype=np.float32)
    holed_hw[10, 10] = np.nan
    mesh = surface_mesh(holed_hw, grey(holed_hw), CAMERA)
    assert len(mesh.faces_m3) == 2 * 19 * 29 - 6
    assert len(mesh.xyz_n3) == 599 and np.isfinite(mesh.xyz_n3).all()


def test_normals_face_the_camera_and_holes_have_none() -> None:
    rows, columns = np.mgrid[:20, :30]
    rays_hw3 = CAMERA.rays(columns.astype(float), rows.astype(float))
    normal_3 = np.array([0.3, -0.2, -1.0]) / np.linalg.norm([0.3, -0.2, -1.0])
    plane_hw = (-3.0 / (rays_hw3 @ normal_3)).astype(np.float32)
    plane_hw[5, 5] = np.nan
    normals_hw3 = surface_normals(plane_hw, CAMERA)
    assert np.isnan(normals_hw3[5, 5]).all()
    np.testing.assert_allclose(
        normals_hw3[8:, 8:], np.broadcast_to(normal_3, (12, 22, 3)), atol=1e-3
    )
    beside = normals_hw3[5, 6]
    assert beside @ rays_hw3[5, 6] == pytest.approx(-np.linalg.norm(rays_hw3[5, 6]), rel=1e-5)


def test_a_relative_depth_ends_at_one_and_at_the_ratio() -> None:
    label_hw = np.array([[5.0, 2.0, -1.0, np.nan]], dtype=np.float32)
    disparity_hw = relative_depth(label_hw, DepthKind.AFFINE_DISPARITY, 10.0)
    depth_hw = relative_depth(label_hw, DepthKind.AFFINE_DEPTH, 10.0)
    np.testing.assert_allclose(disparity_hw[0, :3], [1, 1 / 0.55, 10], rtol=1e-6)
    np.testing.assert_allclose(depth_hw[0, :3], [10, 5.5, 1])
    assert np.isnan(disparity_hw[0, 3]) and np.isnan(depth_hw[0, 3])
    flat_hw = np.full((2, 2), 7.0, dtype=np.float32)
    for kind in (DepthKind.AFFINE_DISPARITY, DepthKind.AFFINE_DEPTH):
        assert (relative_depth(flat_hw, kind, 10.0) == 1).all()
