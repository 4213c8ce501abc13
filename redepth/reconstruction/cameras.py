"""COLMAP's camera models: which numbers a camera has, and what they mean.

COLMAP counts from the picture's corner, where the first pixel's centre is (0.5, 0.5); to redepth it
is (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from redepth.errors import ConfigError
from redepth.geometry.camera import Pinhole

MAX_SIDE_PX = 100_000
_RADIAL_4 = ("k1", "k2", "k3", "k4")
_TANGENTIAL = ("k1", "k2", "p1", "p2")
_ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class CameraModel:
    """A camera model under COLMAP's name and number.

    Attributes:
        num_focals: 1 where both axes share a focal length, else 2.
        distortion: names of the numbers behind the principal point.
    """

    number: int
    name: str
    num_focals: int
    distortion: tuple[str, ...] = ()

    @property
    def num_params(self) -> int:
        """Focal lengths, the principal point, and distortion."""
        return self.num_focals + 2 + len(self.distortion)


MODELS = (
    CameraModel(0, "SIMPLE_PINHOLE", 1),
    CameraModel(1, "PINHOLE", 2),
    CameraModel(2, "SIMPLE_RADIAL", 1, ("k1",)),
    CameraModel(3, "RADIAL", 1, ("k1", "k2")),
    CameraModel(4, "OPENCV", 2, _TANGENTIAL),
    CameraModel(5, "OPENCV_FISHEYE", 2, _RADIAL_4),
    CameraModel(6, "FULL_OPENCV", 2, (*_TANGENTIAL, "k3", "k4", "k5", "k6")),
    CameraModel(7, "FOV", 2, ("omega",)),
    CameraModel(8, "SIMPLE_RADIAL_FISHEYE", 1, ("k1",)),
    CameraModel(9, "RADIAL_FISHEYE", 1, ("k1", "k2")),
    CameraModel(10, "THIN_PRISM_FISHEYE", 2, (*_TANGENTIAL, "k3", "k4", "sx1", "sy1")),
)
BY_NAME = {model.name: model for model in MODELS}
BY_NUMBER = {model.number: model for model in MODELS}


@dataclass(frozen=True, slots=True)
class ColmapCamera:
    """The intrinsics of a picture, in its own pixels, as COLMAP says them.

    Attributes:
        params: in COLMAP's order: focal lengths, principal point, distortion.

    Raises:
        ConfigError: a size or a number that no camera has.
    """

    model: CameraModel
    width_px: int
    height_px: int
    params: tuple[float, ...]

    def __post_init__(self) -> None:
        sides = (self.width_px, self.height_px)
        if not all(0 < side <= MAX_SIDE_PX for side in sides):
            raise ConfigError(
                f"a camera of {sides[0]} x {sides[1]} px, expected sides of 1 to {MAX_SIDE_PX:,}"
            )
        if len(self.params) != self.model.num_params or not all(map(math.isfinite, self.params)):
            raise ConfigError(
                f"a {self.model.name} camera with the numbers {self.params!r:.200}, expected "
                f"{self.model.num_params} finite ones"
            )
        if min(self.focal_x_px, self.focal_y_px) <= 0:
            raise ConfigError(f"a camera of focal length {self.params[0]:g} px, expected above 0")

    @property
    def focal_x_px(self) -> float:
        return self.params[0]

    @property
    def focal_y_px(self) -> float:
        return self.params[self.model.num_focals - 1]

    @property
    def centre_px(self) -> tuple[float, float]:
        """The principal point (column, row), from the corner of the picture."""
        x, y = self.params[self.model.num_focals : self.model.num_focals + 2]
        return x, y

    @property
    def distortion(self) -> Mapping[str, float]:
        """The distortion by COLMAP's names; empty of a pinhole camera."""
        behind = self.params[self.model.num_focals + 2 :]
        return dict(zip(self.model.distortion, behind, strict=True))

    @property
    def is_undistorted(self) -> bool:
        """Whether straight lines stay straight."""
        return not any(self.params[self.model.num_focals + 2 :])

    def pinhole(self, size_hw: tuple[int, int]) -> Pinhole:
        """Return the camera of a map of the whole picture at another size, without distortion."""
        by_height, by_width = size_hw[0] / self.height_px, size_hw[1] / self.width_px
        x, y = self.centre_px
        return Pinhole(
            self.focal_x_px * by_width, self.focal_y_px * by_height,
            x * by_width - 0.5, y * by_height - 0.5,
        )  # fmt: skip

    def fits(self, width_px: int, height_px: int) -> bool:
        """Whether a picture of this size can be this camera's: the sides relate as its own do."""
        ratio = width_px * self.height_px / (height_px * self.width_px)
        return abs(ratio - 1) <= _ASPECT_TOLERANCE + 1 / min(width_px, height_px)
