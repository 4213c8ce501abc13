"""Posed depth maps fused into a coloured cloud: a point a voxel, the mean of what fell into it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redepth.geometry.camera import Doubles, Pinhole
from redepth.reconstruction.model import PosedImage
from redepth.types import ByteImage, FloatMap

_MOST_VOXELS = 2**20  # along an axis; three of them share one key
_SPACINGS = 2.0  # of a voxel's side, in distances of neighbouring pixels' points

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class FusedCloud:
    """A point for each voxel that was seen.

    Attributes:
        xyz_n3: float64 [N, 3], world frame.
        rgb_n3: uint8 [N, 3].
        num_views_n: int64 [N], pictures that saw it.
    """

    xyz_n3: Doubles
    rgb_n3: npt.NDArray[np.uint8]
    num_views_n: npt.NDArray[np.int64]

    def seen_by(self, min_views: int) -> FusedCloud:
        """Return the points that so many pictures saw."""
        kept = self.num_views_n >= min_views
        return FusedCloud(self.xyz_n3[kept], self.rgb_n3[kept], self.num_views_n[kept])


class Fusion:
    """Takes one view after the other; memory grows with the voxels, not with the views.

    Args:
        voxel: side of a voxel, in the unit of the depth.

    Raises:
        ValueError: it is not above 0.
    """

    def __init__(self, voxel: float) -> None:
        if not voxel > 0:
            raise ValueError(f"a voxel of side {voxel}, expected above 0")
        self._voxel = voxel
        self._keys: Keys = np.zeros(0, dtype=np.int64)
        # Of each voxel: sums of x, y, z, red, green, blue, the points and the views.
        self._sums = np.zeros((0, 8))

    def add(
        self, image: PosedImage, depth_hw: FloatMap, rgb_hw3: ByteImage, camera: Pinhole
    ) -> None:
        """Add the points of one picture.

        Args:
            depth_hw: z-depth; NaN and 0 are none.
            camera: at the map's size.
        """
        known_hw = np.isfinite(depth_hw) & (depth_hw > 0)
        points_n3 = camera.unproject(depth_hw)[known_hw]
        world_n3 = (points_n3 - image.translation_3) @ image.rotation_33
        keys, voxels_n = np.unique(self._key(world_n3), return_inverse=True)
        sums = np.zeros((len(keys), 8))
        each = np.concatenate([world_n3, rgb_hw3[known_hw], np.ones((len(world_n3), 1))], axis=1)
        np.add.at(sums[:, :7], voxels_n, each)
        sums[:, 7] = 1
        self._merge(keys, sums)

    def cloud(self) -> FusedCloud:
        """Return the points so far."""
        means = self._sums[:, :6] / self._sums[:, 6:7]
        rgb_n3 = np.rint(means[:, 3:]).astype(np.uint8)
        return FusedCloud(means[:, :3], rgb_n3, self._sums[:, 7].astype(np.int64))

    def _merge(self, keys: Keys, sums: Doubles) -> None:
        merged, places = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
        total = np.zeros((len(merged), 8))
        np.add.at(total, places, np.concatenate([self._sums, sums]))
        self._keys, self._sums = merged, total

    def _key(self, world_n3: Doubles) -> Keys:
        """Return one number a voxel; what is farther than a million voxels shares the last one."""
        half = _MOST_VOXELS // 2
        cells_n3 = np.clip(np.floor(world_n3 / self._voxel), -half, half - 1).astype(np.int64)
        x, y, z = (cells_n3 + half).T
        keys: Keys = (x * _MOST_VOXELS + y) * _MOST_VOXELS + z
        return keys


def voxel_of(depth: float, camera: Pinhole) -> float:
    """Return the side of a voxel that suits a depth: twice the distance of neighbouring points."""
    return _SPACINGS * depth / camera.focal_x_px
