"""From a z-depth map and a camera to coloured points, without the ones that hang between surfaces.

Points are in the camera frame of `geometry.camera`, in the depth's unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redepth.geometry.camera import Pinhole
from redepth.geometry.relative_depth import METRES
from redepth.types import ByteImage, FloatMap

BoolMap = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float32]

# A surface seen at this angle to its normal is the steepest that is believed between two pixels.
STEEPEST_DEG = 85.0


@dataclass(frozen=True, slots=True, eq=False)
class PointCloud:
    """Coloured points.

    Attributes:
        xyz_n3: float32 [N, 3], camera frame.
        rgb_n3: uint8 [N, 3].
        num_flying: points that were left out because they hung between surfaces.
        num_unknown: pixels that had no depth.
        unit: of xyz, in words.
    """

    xyz_n3: Points
    rgb_n3: ByteImage
    num_flying: int
    num_unknown: int
    unit: str = METRES

    def __len__(self) -> int:
        return len(self.xyz_n3)


def point_cloud(
    depth_hw: FloatMap,
    rgb_hw3: ByteImage,
    camera: Pinhole,
    *,
    keep_edges: bool = False,
    unit: str = METRES,
) -> PointCloud:
    """Return one point a pixel, but for pixels without depth and (unless kept) flying ones.

    Args:
        depth_hw: z-depth, NaN where unknown.
        rgb_hw3: uint8 [H, W, 3], pixel on pixel.
        unit: of the depth, in words.
    """
    known_hw = np.isfinite(depth_hw)
    flying_hw = np.zeros_like(known_hw) if keep_edges else flying_pixels(depth_hw, camera)
    kept_hw = known_hw & ~flying_hw
    return PointCloud(
        camera.unproject(depth_hw)[kept_hw].astype(np.float32),
        rgb_hw3[kept_hw],
        num_flying=int((known_hw & flying_hw).sum()),
        num_unknown=int((~known_hw).sum()),
        unit=unit,
    )


def surface_normals(depth_hw: FloatMap, camera: Pinhole) -> Points:
    """Return unit normals that face the camera, float32 [H, W, 3], camera frame; NaN without depth.

    By central differences of the points. Beside a hole, where there are none, a normal points at
    the camera.
    """
    points_hw3 = camera.unproject(depth_hw)
    along = [np.gradient(points_hw3, axis=axis) if depth_hw.shape[axis] > 1
             else np.full_like(points_hw3, np.nan) for axis in (0, 1)]  # fmt: skip
    towards_hw3 = -points_hw3 / np.linalg.norm(points_hw3, axis=2, keepdims=True)
    normals_hw3 = np.cross(along[1], along[0])
    lengths_hw1 = np.linalg.norm(normals_hw3, axis=2, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        normals_hw3 /= lengths_hw1
        facing_hw1 = np.sign((normals_hw3 * towards_hw3).sum(axis=2, keepdims=True))
    known_hw1 = np.isfinite(facing_hw1) & (facing_hw1 != 0)
    found_hw3 = np.where(known_hw1, normals_hw3 * facing_hw1, towards_hw3)
    return np.asarray(found_hw3, dtype=np.float32)


def flying_pixels(depth_hw: FloatMap, camera: Pinhole) -> BoolMap:
    """Return the pixels that lie between two surfaces and on neither.

    A pixel flies if along its row or its column its depth is strictly between its two neighbours'
    and steeper towards both than a surface seen at 85 degrees to its normal:
    |dz| > tan(85 deg) * z / focal. The rims of surfaces, which have one steep side, stay.
    """
    return _flying_down(depth_hw, camera.focal_y_px) | _flying_down(depth_hw.T, camera.focal_x_px).T


def _flying_down(depth_hw: FloatMap, focal_px: float) -> BoolMap:
    flying_hw = np.zeros(depth_hw.shape, dtype=np.bool_)
    jumps_hw = np.diff(depth_hw.astype(np.float64), axis=0)
    before_hw, after_hw = jumps_hw[:-1], jumps_hw[1:]
    limit_hw = math.tan(math.radians(STEEPEST_DEG)) / focal_px * depth_hw[1:-1]
    flying_hw[1:-1] = (
        (before_hw * after_hw > 0) & (abs(before_hw) > limit_hw) & (abs(after_hw) > limit_hw)
    )
    return flying_hw
