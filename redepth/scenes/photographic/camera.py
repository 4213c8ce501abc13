"""A pinhole camera that stands anywhere in a world of metres: x right, y up, z ahead."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
NEAR_M = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Where a camera stands, where it looks, and the ray of every pixel.

    Attributes:
        place_3: float32 [3], metres.
        turn_33: float32 [3, 3], its columns are the camera's right, up and ahead in the world.
        focal_px: of both axes.
        rays_3hw: float32 [3, H, W], world; one unit along a ray is one metre of z-depth.
    """

    place_3: Floats
    turn_33: Floats
    focal_px: float
    rays_3hw: Floats

    @property
    def size_hw(self) -> tuple[int, int]:
        """Return (height, width) in pixels."""
        _, height, width = self.rays_3hw.shape
        return height, width

    def window(self, corners_n3: Floats) -> tuple[slice, slice]:
        """Return the (rows, columns) that a convex body with these corners can touch.

        All of the picture where a corner is not clearly in front of the camera.
        """
        height, width = self.size_hw
        right, up, ahead = ((corners_n3 - self.place_3) @ self.turn_33).T
        if ahead.min() < NEAR_M:
            behind = bool(ahead.max() < NEAR_M)
            return (slice(0, 0), slice(0, 0)) if behind else (slice(0, height), slice(0, width))
        x = right / ahead * self.focal_px + width / 2
        y = height / 2 - up / ahead * self.focal_px
        return _span(y, height), _span(x, width)


def look(
    place_3: tuple[float, float, float],
    yaw_deg: float,
    pitch_deg: float,
    roll_deg: float,
    focal_px: float,
    size_hw: tuple[int, int],
) -> View:
    """Place a camera. Yaw 0 looks along z and grows to the right; a positive pitch looks up."""
    height, width = size_hw
    yaw, pitch, roll = (math.radians(angle) for angle in (yaw_deg, pitch_deg, roll_deg))
    ahead = np.array(
        (math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch))
    )
    level = np.array((math.cos(yaw), 0.0, -math.sin(yaw)))
    above = np.cross(ahead, level)
    right = math.cos(roll) * level + math.sin(roll) * above
    up = math.cos(roll) * above - math.sin(roll) * level
    turn_33 = np.stack((right, up, ahead), axis=1).astype(np.float32)
    x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / focal_px
    y = (height / 2 - np.arange(height, dtype=np.float32) - 0.5) / focal_px
    local_3hw = np.stack(np.broadcast_arrays(x[None, :], y[:, None], np.float32(1.0)))
    rays_3hw = np.tensordot(turn_33, local_3hw, axes=1).astype(np.float32)
    return View(np.array(place_3, dtype=np.float32), turn_33, focal_px, rays_3hw)


def _span(places: Floats, length: int) -> slice:
    first = int(np.clip(math.floor(float(places.min())), 0, length))
    return slice(first, int(np.clip(math.ceil(float(places.max())) + 1, first, length)))
