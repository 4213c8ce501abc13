"""What a rendered scene is, and the frames its numbers live in.

Lighting frame, for every normal and light here: x to the left, y down, z towards the viewer. It is
the frame in which `geometry.normals` gives the true outward normal of a depth map (a surface that
recedes to the right faces the right, and has n.x < 0), so that `geometry.relighting` with a scene's
depth and light shades the surface as its picture is shaded.
Camera frame, for points: that of `geometry.camera`, metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from redepth.geometry.camera import Pinhole
from redepth.types import ByteImage, FloatMap

Array = npt.NDArray[np.float64]
BoolMap = npt.NDArray[np.bool_]


class Split(StrEnum):
    """What a scene may be used for. It is part of the seed's digest: splits share no scene."""

    TRAIN = "train"
    TUNING = "tuning"
    HELD_OUT = "held-out"


class SceneKind(StrEnum):
    """How a scene is seen, and what its depth therefore means.

    RELIEF: one continuous surface, orthographic; depth in halves of the picture's height, about 2.
    OBJECTS: things on a floor before a wall, pinhole camera; z-depth in metres.
    """

    RELIEF = "relief"
    OBJECTS = "objects"


@dataclass(frozen=True, slots=True, eq=False)
class Lighting:
    """Distant white lights and what a surface makes of them.

    Attributes:
        directions_l3: float64 [L, 3], unit vectors towards the lights, lighting frame; the first is
            the key light, the one that captions speak of and that casts shadows.
        diffuse_l: float64 [L], the weight kd of each light.
        ambient: light without a direction.
        specular: the weight ks of the highlights.
        shininess: the exponent of the highlights.
    """

    directions_l3: Array
    diffuse_l: Array
    ambient: float
    specular: float
    shininess: float


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One rendered picture and the truth behind it.

    Attributes:
        id: family, split and seed in one name.
        family, seed, split: what the scene was made from, beside its size.
        kind: how it is seen.
        rgb_hw3: uint8 [H, W, 3], gamma 2.2.
        depth_hw: float32 [H, W] > 0, growing away from the viewer, unit by `kind`.
        normal_hw3: float32 [H, W, 3], unit, lighting frame. A relief's are `orthographic_normals`
            of its depth.
        mask_hw: bool [H, W], the thing the caption names against its surroundings.
        albedo_hw3: float32 [H, W, 3] in [0, 1], linear.
        lighting: the lights.
        camera: of an OBJECTS scene; None for a relief.
        caption: what is seen and where the light comes from.
    """

    id: str
    family: str
    seed: int
    split: Split
    kind: SceneKind
    rgb_hw3: ByteImage
    depth_hw: FloatMap
    normal_hw3: npt.NDArray[np.float32]
    mask_hw: BoolMap
    albedo_hw3: npt.NDArray[np.float32]
    lighting: Lighting
    camera: Pinhole | None
    caption: str

    @property
    def light_direction(self) -> tuple[float, float, float]:
        """Return the unit vector towards the key light, lighting frame."""
        x, y, z = self.lighting.directions_l3[0].tolist()
        return x, y, z


def scene_id(family: str, seed: int, split: Split) -> str:
    """Return the name that tells a scene from all others."""
    return f"{family}-{split.value}-{seed:06d}"
