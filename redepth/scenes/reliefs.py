"""Render a relief: scale its slope, differentiate it, light it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from redepth.scenes.draws import uniform
from redepth.scenes.fields import grid
from redepth.scenes.lights import encode, light_from, light_words, shade
from redepth.scenes.relief import Relief
from redepth.scenes.scene import Array, Lighting, Scene, SceneKind, Split, scene_id

MIDDLE_DEPTH = 2.0
MIN_RMS_SLOPE, MAX_RMS_SLOPE = 0.45, 0.75
SLOPE_SIZE_PX = 64  # the size at which the slope is set, or a scene would change with its size


@dataclass(frozen=True, slots=True)
class LightRange:
    """Where a family's light may stand (see `light_from`) and how glossy its surfaces may be."""

    azimuth_deg: tuple[float, float]
    tilt_deg: tuple[float, float]
    specular: tuple[float, float]


# Any side, so near the line of sight that all of a surface is lit; and from above, which settles
# whether a shade means a bump or a hollow.
NEAR_FRONTAL = LightRange((0.0, 360.0), (8.0, 35.0), (0.0, 0.0))
FROM_ABOVE = LightRange((30.0, 150.0), (35.0, 58.0), (0.05, 0.22))


def render_relief(
    family: str,
    seed: int,
    split: Split,
    size_px: int,
    relief: Relief,
    lighting: Lighting,
    rms_slope: float,
) -> Scene:
    """Render a relief that has been drawn.

    Args:
        rms_slope: root mean square of the slope at 64 px; sizes differ by what they resolve.
    """
    place = grid(size_px)
    height_hw = relief.height(place)
    coarse_hw = height_hw if size_px == SLOPE_SIZE_PX else relief.height(grid(SLOPE_SIZE_PX))
    scale = rms_slope / slope_of(coarse_hw)
    depth_hw = MIDDLE_DEPTH - scale * (height_hw - float(coarse_hw.mean()))
    normal_hw3 = normals_of(depth_hw)
    albedo_hw3 = relief.albedo(place)
    return Scene(
        id=scene_id(family, seed, split),
        family=family,
        seed=seed,
        split=split,
        kind=SceneKind.RELIEF,
        rgb_hw3=encode(shade(albedo_hw3, normal_hw3, lighting)),
        depth_hw=depth_hw.astype(np.float32),
        normal_hw3=normal_hw3.astype(np.float32),
        mask_hw=relief.mask(place),
        albedo_hw3=albedo_hw3.astype(np.float32),
        lighting=lighting,
        camera=None,
        caption=f"{relief.words}, {light_words(lighting.directions_l3[0])}",
    )


def draw_relief_lighting(rng: np.random.Generator, where: LightRange, gloss: float) -> Lighting:
    """Draw one light and the ambient around it; ambient + kd is 1, facing albedo shows as it is."""
    direction = light_from(uniform(rng, *where.azimuth_deg), uniform(rng, *where.tilt_deg))
    ambient = uniform(rng, 0.10, 0.22)
    return Lighting(
        directions_l3=direction[None],
        diffuse_l=np.array([1.0 - ambient]),
        ambient=ambient,
        specular=gloss * uniform(rng, *where.specular),
        shininess=2.0 ** uniform(rng, 3.0, 5.0),
    )


def normals_of(depth_hw: Array) -> Array:
    """Return [H, W, 3]: what `geometry.normals.orthographic_normals` gives, in NumPy."""
    right_hw, up_hw = _slopes(depth_hw)
    normal_hw3 = np.stack((-right_hw, -up_hw, np.ones_like(depth_hw)), axis=-1)
    normal_hw3 /= np.sqrt(1.0 + right_hw**2 + up_hw**2)[..., None]
    return normal_hw3


def slope_of(depth_hw: Array) -> float:
    """Return the root mean square of |gradient| over a square map, u and v from -1 to 1."""
    right_hw, up_hw = _slopes(depth_hw)
    return math.sqrt(float(np.mean(right_hw**2 + up_hw**2)))


def _slopes(depth_hw: Array) -> tuple[Array, Array]:
    """Return (dz/du, dz/dv) by central differences, one-sided at the border."""
    height, width = depth_hw.shape
    down_hw, right_hw = np.gradient(depth_hw)
    return right_hw * (height * (width - 1) / (2.0 * width)), down_hw * ((1 - height) / 2.0)
