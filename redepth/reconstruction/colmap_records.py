"""What a file of a COLMAP model says, before it is put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from redepth.geometry.camera import Doubles


@dataclass(frozen=True, slots=True, eq=False)
class ColmapImage:
    """A picture of images.bin or images.txt.

    Attributes:
        quaternion: (w, x, y, z), from the world into the camera frame, as `translation`.
        camera: the camera's number.
        xy_n2: float64 [N, 2], the features in pixels.
        points_n: int64 [N], the number of each feature's point; -1 is none.
    """

    name: str
    quaternion: tuple[float, float, float, float]
    translation: tuple[float, float, float]
    camera: int
    xy_n2: Doubles
    points_n: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ColmapPoints:
    """points3D.bin or points3D.txt, by ascending number.

    Attributes:
        numbers_n: int64 [N], as images name them.
        xyz_n3: float64 [N, 3].
        rgb_n3: uint8 [N, 3].
    """

    numbers_n: npt.NDArray[np.int64]
    xyz_n3: Doubles
    rgb_n3: npt.NDArray[np.uint8]


def sorted_points(
    numbers_n: npt.NDArray[np.int64], xyz_n3: Doubles, rgb_n3: npt.NDArray[np.uint8]
) -> ColmapPoints:
    """Return points in the order of their numbers."""
    order = np.argsort(numbers_n, kind="stable")
    return ColmapPoints(numbers_n[order], xyz_n3[order], rgb_n3[order])
