"""Rays against a stage of solids: what is seen, how far away, and what the key light reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from redepth.geometry.camera import Pinhole
from redepth.scenes.finishes import Finish
from redepth.scenes.scene import Array, BoolMap
from redepth.scenes.solids import NEVER, Solid, axes_along

SHADOW_OFFSET_M = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """A solid, what it is covered with, and its name if a caption may name it."""

    solid: Solid
    finish: Finish
    name: str = ""
    is_surrounding: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What each ray meets first. Rows are pixels (or parts of pixels) in reading order.

    Attributes:
        depth_n: z-depth in metres.
        thing_n: int, the index of the thing.
        points_n3: in the camera frame, metres.
        normals_n3: outward, camera frame.
        albedo_n3: linear.
        gloss_n: of the finish.
    """

    depth_n: Array
    thing_n: Array
    points_n3: Array
    normals_n3: Array
    albedo_n3: Array
    gloss_n: Array


def look(things: Sequence[Thing], camera: Pinhole, size_px: int, samples: int) -> Sight:
    """Cast samples x samples rays a pixel, evenly spread over it.

    Raises:
        ValueError: some ray meets nothing; a stage needs a wall.
    """
    axis = (np.arange(size_px * samples) + 0.5) / samples - 0.5
    rays_hw3 = camera.rays(*np.meshgrid(axis, axis))
    depth_hw, thing_hw = _first_hits(things, camera, rays_hw3, axis)
    if not np.isfinite(depth_hw).all():
        raise ValueError("a ray meets nothing: the stage is open, add a wall or a floor")
    depth_n, thing_n = depth_hw.ravel(), thing_hw.ravel()
    points_n3 = rays_hw3.reshape(-1, 3) * depth_n[:, None]
    return _described(things, depth_n, thing_n, points_n3)


def lit_by(things: Sequence[Thing], sight: Sight, towards_light: Array) -> BoolMap:
    """Return where nothing stands between the points seen and a distant light, bool [N]."""
    lit: BoolMap = sight.normals_n3 @ towards_light > 0.0
    facing = np.flatnonzero(lit)
    starts_n3 = sight.points_n3[facing] + SHADOW_OFFSET_M * sight.normals_n3[facing]
    shaded = np.zeros(len(facing), dtype=bool)
    axes_33 = axes_along(towards_light)
    aside, along, beside = np.ascontiguousarray((starts_n3 @ axes_33).T)
    for solid in (thing.solid for thing in things if not thing.is_surrounding):
        # Only what lies in the shadow of a sphere around the solid is worth a ray.
        x, y, z = (solid.centre @ axes_33).tolist()
        near = (aside - x) ** 2 + (beside - z) ** 2 < solid.radius_m**2
        asked = np.flatnonzero(near & (along < y + solid.radius_m) & ~shaded)
        if asked.size:
            shaded[asked] = np.isfinite(solid.hit(starts_n3[asked], towards_light))
    lit[facing] = ~shaded
    return lit


def _first_hits(
    things: Sequence[Thing], camera: Pinhole, rays_hw3: Array, axis: Array
) -> tuple[Array, Array]:
    side = len(axis)
    depth_hw = np.full((side, side), NEVER)
    thing_hw = np.full((side, side), -1)
    for index, thing in enumerate(things):
        rows, columns = _window(thing.solid, camera, axis)
        rays = rays_hw3[rows, columns]
        if not rays.size:
            continue
        hits = thing.solid.hit(np.zeros(3), rays.reshape(-1, 3)).reshape(rays.shape[:2])
        nearer = hits < depth_hw[rows, columns]
        depth_hw[rows, columns][nearer] = hits[nearer]
        thing_hw[rows, columns][nearer] = index
    return depth_hw, thing_hw


def _window(solid: Solid, camera: Pinhole, axis: Array) -> tuple[slice, slice]:
    """Return the (rows, columns) that a sphere around the solid can touch."""
    radius = solid.radius_m
    nearest = solid.centre[2] - radius
    if not nearest > 0.05:
        return slice(None), slice(None)
    x, y, z = solid.centre.tolist()
    bounds = []
    for middle, focal_px, centre in (
        (y, camera.focal_y_px, camera.centre_y_px),
        (x, camera.focal_x_px, camera.centre_x_px),
    ):
        low, high = middle - radius, middle + radius
        first = focal_px * low / (nearest if low < 0 else z + radius) + centre
        last = focal_px * high / (nearest if high > 0 else z + radius) + centre
        start, stop = np.searchsorted(axis, (first, last)).tolist()
        bounds.append(slice(start, stop))
    return bounds[0], bounds[1]


def _described(things: Sequence[Thing], depth_n: Array, thing_n: Array, points_n3: Array) -> Sight:
    normals_n3, albedo_n3 = np.empty_like(points_n3), np.empty_like(points_n3)
    gloss_n = np.array([thing.finish.gloss for thing in things])[thing_n]
    for index in np.unique(thing_n):
        solid, finish = things[index].solid, things[index].finish
        seen = np.flatnonzero(thing_n == index)
        points = points_n3[seen]
        normals_n3[seen] = solid.normals(points)
        albedo_n3[seen] = finish.albedo((points - solid.centre) @ solid.axes_33)
    return Sight(depth_n, thing_n, points_n3, normals_n3, albedo_n3, gloss_n)
