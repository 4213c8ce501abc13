"""The pinhole camera: where the points lie that a depth map sees.

Camera frame: x to the right, y down, z ahead; the camera looks along z from the origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Pinhole:
    """Intrinsics in pixels of one map, whose pixel centres have whole coordinates (column, row).

    The two focal lengths differ where a map was resized by another factor in height than in width.
    """

    focal_x_px: float
    focal_y_px: float
    centre_x_px: float
    centre_y_px: float

    @classmethod
    def centred(cls, focal_x_px: float, focal_y_px: float, size_hw: tuple[int, int]) -> Pinhole:
        """Return a camera that looks at the middle of a map: ((W - 1) / 2, (H - 1) / 2)."""
        height_px, width_px = size_hw
        return cls(focal_x_px, focal_y_px, (width_px - 1) / 2, (height_px - 1) / 2)

    def rays(self, columns_px: Doubles, rows_px: Doubles) -> Doubles:
        """Return the points at z = 1 behind pixels, [..., 3]; times z-depth, the points seen."""
        x = (columns_px - self.centre_x_px) / self.focal_x_px
        y = (rows_px - self.centre_y_px) / self.focal_y_px
        return np.stack((x, y, np.ones_like(x)), axis=-1)

    def unproject(self, depth_hw: Floats) -> Doubles:
        """Return the points seen at a z-depth, float64 [H, W, 3], in the depth's unit."""
        rows, columns = np.mgrid[: depth_hw.shape[0], : depth_hw.shape[1]].astype(np.float64)
        points_hw3: Doubles = self.rays(columns, rows) * depth_hw[..., None].astype(np.float64)
        return points_hw3

    def project(self, points_n3: Doubles) -> tuple[Doubles, Doubles]:
        """Return the (columns, rows) in pixels at which points in the camera frame are seen."""
        x, y, z = np.moveaxis(points_n3, -1, 0)
        return (
            self.focal_x_px * x / z + self.centre_x_px,
            self.focal_y_px * y / z + self.centre_y_px,
        )

    def depth_of_ray_length(self, length_hw: Floats) -> Doubles:
        """Return z-depth, float64 [H, W], from the length of each pixel's ray, in its unit."""
        rows, columns = np.mgrid[: length_hw.shape[0], : length_hw.shape[1]].astype(np.float64)
        depth_hw: Doubles = length_hw / np.linalg.norm(self.rays(columns, rows), axis=-1)
        return depth_hw


@dataclass(frozen=True, slots=True)
class Orthographic:
    """A camera whose rays are parallel; lengths are in halves of the picture's height.

    x runs from -W/H to W/H to the right, y from 1 to -1 downwards.
    """

    def unproject(self, depth_hw: Floats) -> Doubles:
        """Return the points (x, y, depth), float64 [H, W, 3]."""
        height, width = depth_hw.shape
        x = np.linspace(-width / height, width / height, width)
        y = np.linspace(1.0, -1.0, height)
        return np.stack((*np.meshgrid(x, y), depth_hw), axis=-1)


Camera = Pinhole | Orthographic
