"""From a z-depth map and a camera to a coloured surface, with holes where one surface ends.

Vertices are in the camera frame of `geometry.camera`, in the depth's unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redepth.geometry.camera import Doubles, Pinhole
from redepth.geometry.points import STEEPEST_DEG, BoolMap, Points
from redepth.types import ByteImage, FloatMap


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A coloured surface of triangles.

    Attributes:
        xyz_n3: float32 [N, 3]; a vertex a pixel that some triangle has.
        rgb_n3: uint8 [N, 3].
        faces_m3: int64 [M, 3], positions in `xyz_n3`, counter-clockwise as the camera sees them.
        num_at_edges: triangles that were left out at depth edges.
    """

    xyz_n3: Points
    rgb_n3: ByteImage
    faces_m3: npt.NDArray[np.int64]
    num_at_edges: int


def surface_mesh(depth_hw: FloatMap, rgb_hw3: ByteImage, camera: Pinhole) -> Mesh:
    """Return two triangles for each 2 x 2 pixels, but for those at depth edges or without depth.

    A triangle is at a depth edge if along its row or its column depth changes faster than on a
    surface seen at 85 degrees to its normal: |dz| > tan(85 deg) * z / focal, z the nearer end.

    Args:
        depth_hw: z-depth > 0, NaN where unknown.
        rgb_hw3: uint8 [H, W, 3], pixel on pixel.
    """
    faces_m3 = _faces(depth_hw.shape[0], depth_hw.shape[1])
    depth_n = depth_hw.astype(np.float64).ravel()
    faces_m3 = faces_m3[np.isfinite(depth_n[faces_m3]).all(axis=1)]
    is_steep = _steep(depth_n[faces_m3], camera)
    used_n, corners = np.unique(faces_m3[~is_steep], return_inverse=True)
    return Mesh(
        camera.unproject(depth_hw).reshape(-1, 3)[used_n].astype(np.float32),
        rgb_hw3.reshape(-1, 3)[used_n],
        corners.reshape(-1, 3),
        int(is_steep.sum()),
    )


def _faces(height_px: int, width_px: int) -> npt.NDArray[np.int64]:
    """Return the triangles of a grid; the first corner is that of the right angle."""
    numbers_hw = np.arange(height_px * width_px).reshape(height_px, width_px)
    above, right = numbers_hw[:-1, :-1].ravel(), numbers_hw[:-1, 1:].ravel()
    below, beyond = numbers_hw[1:, :-1].ravel(), numbers_hw[1:, 1:].ravel()
    upper_m3 = np.stack((above, below, right), axis=1)
    lower_m3 = np.stack((beyond, right, below), axis=1)
    return np.concatenate([upper_m3, lower_m3])


def _steep(depth_m3: Doubles, camera: Pinhole) -> BoolMap:
    """Return which triangles are too steep along their column or their row."""
    steepest = math.tan(math.radians(STEEPEST_DEG))
    nearer_m2 = np.minimum(depth_m3[:, :1], depth_m3[:, 1:])
    change_m2 = np.abs(depth_m3[:, :1] - depth_m3[:, 1:])
    limit_m2 = steepest * nearer_m2 / min(camera.focal_x_px, camera.focal_y_px)
    steep_m2: BoolMap = change_m2 > limit_m2
    return steep_m2[:, 0] | steep_m2[:, 1]
