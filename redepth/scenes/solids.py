"""Solids: unit shapes under an affine map, met by rays in closed form (a torus by marching).

A ray is origin + t direction. Rays are mapped into the shape's own frame without normalising, so t
means the same in every frame; with directions of camera z = 1, t is the z-depth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from redepth.scenes.scene import Array

NEVER = np.inf
MARCH_STEPS = 48
MARCH_TOLERANCE = 1e-6


class Shape(StrEnum):
    """Unit shapes. All fit in the box from -1 to 1; axes stand along y (down, in camera frame).

    BALL: radius 1. BOX: from -1 to 1. CYLINDER: radius 1, y from -1 to 1, capped. CONE: apex at
    y = -1, radius 1 at y = 1, capped. TORUS: about y, see `Solid.tube`. PLANE: y = 0.
    """

    BALL = "ball"
    BOX = "box"
    CYLINDER = "cylinder"
    CONE = "cone"
    TORUS = "torus"
    PLANE = "plane"


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """A unit shape, placed.

    Attributes:
        shape: which.
        centre: [3], where the shape's origin lies.
        axes_33: columns are the shape's unit axes.
        half_sizes: [3], metres along those axes. A torus has three equal ones.
        tube: of a torus: the radius of its tube where the circle has radius 1 - tube.
    """

    shape: Shape
    centre: Array
    axes_33: Array
    half_sizes: Array
    tube: float = 0.0

    @property
    def radius_m(self) -> float:
        """Return the radius of a sphere about the centre that holds the solid."""
        if self.shape is Shape.PLANE:
            return math.inf
        a, b, c = sorted(self.half_sizes.tolist())
        return c if self.shape in (Shape.BALL, Shape.TORUS) else math.hypot(a, b, c)

    def to_local(self, points_n3: Array) -> Array:
        """Return points in the shape's frame, in units of its half sizes."""
        local: Array = (points_n3 - self.centre) @ self.axes_33 / self.half_sizes
        return local

    def hit(self, origins_n3: Array, directions_n3: Array) -> Array:
        """Return the smallest t > 0 at which each ray enters the solid, [N]; inf where it misses.

        Args:
            origins_n3: [N, 3] or [3], outside the solid.
            directions_n3: [N, 3] or [3], of any length.
        """
        local = self.to_local(origins_n3), directions_n3 @ self.axes_33 / self.half_sizes
        origin, direction = (_Axes(*vectors.T) for vectors in np.broadcast_arrays(*local))
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.shape is Shape.TORUS:
                return _hit_torus(origin, direction, self.tube)
            return _HITS[self.shape](origin, direction)

    def normals(self, points_n3: Array) -> Array:
        """Return the outward unit normals at points of the surface, [N, 3]."""
        x, y, z = self.to_local(points_n3).T
        if self.shape is Shape.TORUS:
            out = _torus_gradient(x, y, z, self.tube)
        else:
            out = _GRADIENTS[self.shape](x, y, z)
        turned = (out / self.half_sizes) @ self.axes_33.T
        unit: Array = turned / np.linalg.norm(turned, axis=-1, keepdims=True)
        return unit


def axes_along(axis: Array) -> Array:
    """Return right-handed axes whose y is `axis`."""
    away = np.eye(3)[int(np.abs(axis).argmin())]
    x = np.cross(axis, away)
    x /= np.linalg.norm(x)
    return np.stack((x, axis, np.cross(x, axis)), axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Axes:
    """The three coordinates of many vectors, each [N]."""

    x: Array
    y: Array
    z: Array


def _hit_ball(o: _Axes, d: _Axes) -> Array:
    a = d.x * d.x + d.y * d.y + d.z * d.z
    b = o.x * d.x + o.y * d.y + o.z * d.z
    c = o.x * o.x + o.y * o.y + o.z * o.z - 1.0
    return _positive(_entry(a, b, c))


def _hit_box(o: _Axes, d: _Axes) -> Array:
    enters, leaves = np.full_like(o.x, -NEVER), np.full_like(o.x, NEVER)
    for start, way in ((o.x, d.x), (o.y, d.y), (o.z, d.z)):
        first, second = (-1.0 - start) / way, (1.0 - start) / way
        enters = np.maximum(enters, np.minimum(first, second))
        leaves = np.minimum(leaves, np.maximum(first, second))
    return _positive(np.where(enters <= leaves, enters, NEVER))


def _hit_cylinder(o: _Axes, d: _Axes) -> Array:
    a = d.x * d.x + d.z * d.z
    b = o.x * d.x + o.z * d.z
    c = o.x * o.x + o.z * o.z - 1.0
    side = _entry(a, b, c)
    side = np.where(np.abs(o.y + side * d.y) <= 1.0, side, NEVER)
    cap = (-np.copysign(1.0, d.y) - o.y) / d.y
    return _positive(np.minimum(side, _within_disc(o, d, cap)))


def _hit_cone(o: _Axes, d: _Axes) -> Array:
    """Solve x^2 + z^2 = ((1 + y) / 2)^2 for y in [-1, 1], and the disc at y = 1."""
    h, k = (1.0 + o.y) / 2.0, d.y / 2.0
    a = d.x * d.x + d.z * d.z - k * k
    b = o.x * d.x + o.z * d.z - h * k
    c = o.x * o.x + o.z * o.z - h * h
    root = np.sqrt(b * b - a * c)
    side = np.full_like(a, NEVER)
    for t in ((-b - root) / a, (-b + root) / a):
        good = (np.abs(o.y + t * d.y) <= 1.0) & (t > 0.0)
        side = np.where(good & (t < side), t, side)
    return _positive(np.minimum(side, _within_disc(o, d, (1.0 - o.y) / d.y)))


def _hit_plane(o: _Axes, d: _Axes) -> Array:
    return _positive(-o.y / d.y)


def _hit_torus(o: _Axes, d: _Axes, tube: float) -> Array:
    """March along the rays that meet the ball around the torus, by its distance function."""
    length = np.sqrt(d.x * d.x + d.y * d.y + d.z * d.z)
    t = _hit_ball(o, d)
    reached = np.full_like(t, NEVER)
    going = np.flatnonzero(np.isfinite(t))
    ox, oy, oz = (axis[going] for axis in (o.x, o.y, o.z))
    dx, dy, dz = d.x[going], d.y[going], d.z[going]
    near, pace = t[going], 1.0 / length[going]
    limit = near + 2.0 * pace
    for _ in range(MARCH_STEPS):
        px, py, pz = ox + near * dx, oy + near * dy, oz + near * dz
        gap = np.hypot(np.hypot(px, pz) - (1.0 - tube), py) - tube
        near = near + gap * pace
    reached[going] = np.where((np.abs(gap) < MARCH_TOLERANCE) & (near < limit), near, NEVER)
    return _positive(reached)


def _torus_gradient(x: Array, y: Array, z: Array, tube: float) -> Array:
    shrink = 1.0 - (1.0 - tube) / np.maximum(np.hypot(x, z), 1e-12)
    return np.stack((x * shrink, y, z * shrink), axis=-1)


def _ball_gradient(x: Array, y: Array, z: Array) -> Array:
    return np.stack((x, y, z), axis=-1)


def _box_gradient(x: Array, y: Array, z: Array) -> Array:
    """Return the axis that is farthest out, with its sign."""
    point = np.stack((x, y, z), axis=-1)
    axis = np.abs(point).argmax(axis=-1, keepdims=True)
    out = np.zeros_like(point)
    np.put_along_axis(out, axis, np.sign(np.take_along_axis(point, axis, -1)), -1)
    return out


def _cylinder_gradient(x: Array, y: Array, z: Array) -> Array:
    on_cap = np.abs(y) > np.hypot(x, z)
    return np.where(
        on_cap[:, None],
        np.stack((0 * x, np.sign(y), 0 * z), axis=-1),
        np.stack((x, 0 * y, z), axis=-1),
    )


def _cone_gradient(x: Array, y: Array, z: Array) -> Array:
    on_cap = y > 1.0 - 1e-9
    return np.where(
        on_cap[:, None],
        np.stack((0 * x, np.ones_like(y), 0 * z), axis=-1),
        np.stack((x, -(1.0 + y) / 4.0, z), axis=-1),
    )


def _plane_gradient(x: Array, y: Array, z: Array) -> Array:
    return np.stack((0 * x, np.full_like(y, -1.0), 0 * z), axis=-1)


def _entry(a: Array, b: Array, c: Array) -> Array:
    """Return the smaller root of a t^2 + 2 b t + c, inf where there is none."""
    square = b * b - a * c
    return np.where(square >= 0.0, (-b - np.sqrt(square)) / a, NEVER)


def _within_disc(o: _Axes, d: _Axes, t: Array) -> Array:
    """Return t where the ray is then within radius 1 of the y axis, else inf."""
    x, z = o.x + t * d.x, o.z + t * d.z
    return np.where(x * x + z * z <= 1.0, t, NEVER)


def _positive(t: Array) -> Array:
    return np.where(t > 0.0, t, NEVER)


_HITS: dict[Shape, Callable[[_Axes, _Axes], Array]] = {
    Shape.BALL: _hit_ball,
    Shape.BOX: _hit_box,
    Shape.CYLINDER: _hit_cylinder,
    Shape.CONE: _hit_cone,
    Shape.PLANE: _hit_plane,
}
_GRADIENTS: dict[Shape, Callable[[Array, Array, Array], Array]] = {
    Shape.BALL: _ball_gradient,
    Shape.BOX: _box_gradient,
    Shape.CYLINDER: _cylinder_gradient,
    Shape.CONE: _cone_gradient,
    Shape.PLANE: _plane_gradient,
}
