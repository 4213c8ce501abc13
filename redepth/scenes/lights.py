"""Where the light stands, in numbers and in words, and what it makes of a surface."""

from __future__ import annotations

import math

import numpy as np

from redepth.scenes.scene import Array, BoolMap, Lighting
from redepth.types import ByteImage

GAMMA = 2.2
FRONT_TILT_DEG = 15.0
TOWARDS_VIEWER = np.array([0.0, 0.0, 1.0])

# Counted from the right, against the clock, an eighth of a turn each.
_SIDES = (
    "the right", "the upper right", "above", "the upper left",
    "the left", "the lower left", "below", "the lower right",
)  # fmt: skip


def light_from(azimuth_deg: float, tilt_deg: float) -> Array:
    """Return the unit vector towards a light, [3], lighting frame.

    Args:
        azimuth_deg: the side it stands on as one sees it: 0 right, 90 above, 180 left.
        tilt_deg: angle from the line of sight; 0 is at the viewer's back.
    """
    azimuth, tilt = math.radians(azimuth_deg), math.radians(tilt_deg)
    sideways = math.sin(tilt)
    return np.array([-math.cos(azimuth) * sideways, -math.sin(azimuth) * sideways, math.cos(tilt)])


def light_words(direction: Array) -> str:
    """Say where a light stands: one of 8 sides, or the front if it tilts less than 15 degrees."""
    left, down, forward = direction.tolist()
    if math.degrees(math.atan2(math.hypot(left, down), forward)) < FRONT_TILT_DEG:
        return "light from the front"
    turn = math.atan2(-down, -left) / math.tau
    return f"light from {_SIDES[round(turn * 8) % 8]}"


def shade(
    albedo_hw3: Array,
    normal_hw3: Array,
    lighting: Lighting,
    *,
    gloss_hw: Array | float = 1.0,
    view_hw3: Array = TOWARDS_VIEWER,
    key_visible_hw: BoolMap | None = None,
) -> Array:
    """Return linear light, [..., 3], unclamped:

    albedo (ambient + sum_l kd_l max(n.l, 0)) + ks gloss sum_l kd_l max(n.h_l, 0)^a

    with h_l = (l + v) / |l + v|: Blinn and Phong as in `geometry.relighting`. Where the key light
    is not visible, its terms are left out.

    Args:
        albedo_hw3, normal_hw3: [..., 3], linear, and unit in the lighting frame.
        gloss_hw: [...], of the surface, times the lighting's specular weight.
        view_hw3: unit vectors towards the viewer, [..., 3] or one for all.
        key_visible_hw: bool [...]; None where nothing casts a shadow.
    """
    diffuse_hw: Array = np.full(normal_hw3.shape[:-1], lighting.ambient, dtype=normal_hw3.dtype)
    highlight_hw: Array = np.zeros_like(diffuse_hw)
    for index, (direction, weight) in enumerate(
        zip(lighting.directions_l3, lighting.diffuse_l, strict=True)
    ):
        half = direction + view_hw3
        half = half / np.linalg.norm(half, axis=-1, keepdims=True)
        lambert = weight * np.maximum(_dot(normal_hw3, direction), 0.0)
        lobe = weight * np.maximum(_dot(normal_hw3, half), 0.0) ** lighting.shininess
        if index == 0 and key_visible_hw is not None:
            lambert, lobe = lambert * key_visible_hw, lobe * key_visible_hw
        diffuse_hw += lambert
        highlight_hw += lobe
    highlight_hw *= lighting.specular * gloss_hw
    return albedo_hw3 * diffuse_hw[..., None] + highlight_hw[..., None]


def encode(linear_hw3: Array) -> ByteImage:
    """Return uint8: clamped to [0, 1], gamma 2.2, rounded to the nearest."""
    srgb = np.clip(linear_hw3, 0.0, 1.0).astype(np.float32) ** np.float32(1.0 / GAMMA)
    return (srgb * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)


def _dot(left: Array, right: Array) -> Array:
    return (left * right).sum(axis=-1) if right.ndim > 1 else left @ right
