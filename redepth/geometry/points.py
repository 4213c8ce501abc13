"""From a z-depth map and a camera to coloured points, without the ones that hang between surfaces.

Camera frame: x to the right, y down, z ahead, in metres; the camera looks along z from the origin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redepth.types import ByteImage, FloatMap

BoolMap = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float32]

# A surface seen at this angle to its normal is the steepest that is believed between two pixels.
STEEPEST_DEG = 85.0


@dataclass(frozen=True, slots=True)
class PinholeView:
    """Focal lengths in pixels of a map whose middle the camera looks at.

    They differ by what the processing size rounds; the photograph's own pixels are square.
    """

    focal_x_px: float
    focal_y_px: float

    def unproject(self, depth_hw: FloatMap) -> Points:
        """Return the points that pixel centres see at their z-depth, float32 [H, W, 3].

        x = z (column - (W - 1) / 2) / focal_x, y = z (row - (H - 1) / 2) / focal_y
        """
        height_px, width_px = depth_hw.shape
        rows, columns = np.mgrid[:height_px, :width_px].astype(np.float64)
        x = (columns - (width_px - 1) / 2) / self.focal_x_px
        y = (rows - (height_px - 1) / 2) / self.focal_y_px
        points_hw3: Points = np.stack((x * depth_hw, y * depth_hw, depth_hw), axis=-1).astype(
            np.float32
        )
        return points_hw3


@dataclass(frozen=True, slots=True, eq=False)
class PointCloud:
    """Coloured points.

    Attributes:
        xyz_n3: float32 [N, 3], metres, camera frame.
        rgb_n3: uint8 [N, 3].
        num_flying: points that were left out because they hung between surfaces.
        num_unknown: pixels that had no depth.
    """

    xyz_n3: Points
    rgb_n3: ByteImage
    num_flying: int
    num_unknown: int

    def __len__(self) -> int:
        return len(self.xyz_n3)


def point_cloud(
    depth_hw: FloatMap, rgb_hw3: ByteImage, view: PinholeView, *, keep_edges: bool = False
) -> PointCloud:
    """Return one point a pixel, but for pixels without depth and (unless kept) flying ones.

    Args:
        depth_hw: z-depth in metres, NaN where unknown.
        rgb_hw3: uint8 [H, W, 3], pixel on pixel.
    """
    known_hw = np.isfinite(depth_hw)
    flying_hw = np.zeros_like(known_hw) if keep_edges else flying_pixels(depth_hw, view)
    kept_hw = known_hw & ~flying_hw
    return PointCloud(
        view.unproject(depth_hw)[kept_hw],
        rgb_hw3[kept_hw],
        num_flying=int((known_hw & flying_hw).sum()),
        num_unknown=int((~known_hw).sum()),
    )


def flying_pixels(depth_hw: FloatMap, view: PinholeView) -> BoolMap:
    """Return the pixels that lie between two surfaces and on neither.

    A pixel flies if along its row or its column its depth is strictly between its two neighbours'
    and steeper towards both than a surface seen at 85 degrees to its normal:
    |dz| > tan(85 deg) * z / focal. The rims of surfaces, which have one steep side, stay.
    """
    return _flying_down(depth_hw, view.focal_y_px) | _flying_down(depth_hw.T, view.focal_x_px).T


def _flying_down(depth_hw: FloatMap, focal_px: float) -> BoolMap:
    flying_hw = np.zeros(depth_hw.shape, dtype=np.bool_)
    jumps_hw = np.diff(depth_hw.astype(np.float64), axis=0)
    before_hw, after_hw = jumps_hw[:-1], jumps_hw[1:]
    limit_hw = math.tan(math.radians(STEEPEST_DEG)) / focal_px * depth_hw[1:-1]
    flying_hw[1:-1] = (
        (before_hw * after_hw > 0) & (abs(before_hw) > limit_hw) & (abs(after_hw) > limit_hw)
    )
    return flying_hw
