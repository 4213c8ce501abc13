"""Bodies that rays meet: boxes, rooms seen from inside, ellipsoids, cylinders and cut-outs.

Each is a unit shape in a frame of its own, so that a ray meets it at the same parameter as in the
world: along the rays of a `View` that parameter is the z-depth in metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from redepth.scenes.photographic.camera import NEAR_M, Floats

Coats = tuple[int, int, int]
_CORNERS_83 = np.array(
    [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32
)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Where a body is, how it is turned, and how large it is.

    Attributes:
        centre_3: float32 [3], metres.
        axes_33: float32 [3, 3], its columns are the body's own axes in the world.
        half_3: float32 [3], half the body's extent along them, metres.
    """

    centre_3: Floats
    axes_33: Floats
    half_3: Floats

    @property
    def corners_83(self) -> Floats:
        """Return the corners of the box around the body, world."""
        corners_83 = (_CORNERS_83 * self.half_3) @ self.axes_33.T + self.centre_3
        return np.asarray(corners_83, dtype=np.float32)

    def inside(self, vectors_3n: Floats) -> Floats:
        """Return world vectors [3, ...] in units of the body, without its place."""
        matrix_33 = (self.axes_33 / self.half_3).T
        flat_3n = vectors_3n.reshape(3, -1)
        return np.asarray(matrix_33 @ flat_3n, dtype=np.float32).reshape(vectors_3n.shape)

    def ray(self, start_3n: Floats, along_3n: Floats) -> tuple[Floats, Floats]:
        """Return start and direction of rays in units of the body."""
        centre = self.centre_3.reshape(3, *(1,) * (start_3n.ndim - 1))
        return self.inside(start_3n - centre), self.inside(along_3n)


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Points of a body: normals in its own axes [3, N], and the coat's place (u, v) in metres.

    Attributes:
        face_n: int, the axis that the surface mostly faces: which of the coats it wears.
    """

    normal_3n: Floats
    u_n: Floats
    v_n: Floats
    face_n: npt.NDArray[np.int64]


class Body(Protocol):
    """A shape with a frame and three coats, by the axis that a face looks along."""

    @property
    def frame(self) -> Frame:
        """Return where it is."""

    @property
    def coats(self) -> Coats:
        """Return the coats, as indices of the stage's materials."""

    @property
    def casts(self) -> bool:
        """Return whether it stands in a light's way."""

    def hit(self, start_3n: Floats, along_3n: Floats) -> Floats:
        """Return the ray parameter of the first hit [...], infinite where there is none."""

    def surface(self, local_3n: Floats) -> Surface:
        """Describe points of the surface, given in the body's units."""


def _first(depth: Floats, is_hit: npt.NDArray[np.bool_]) -> Floats:
    return np.where(is_hit & (depth > NEAR_M), depth, np.float32(np.inf))


def _slabs(start_3n: Floats, along_3n: Floats) -> tuple[Floats, Floats]:
    """Return where rays enter and leave the unit box."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1.0 / along_3n
        one, other = (-1.0 - start_3n) * inverse, (1.0 - start_3n) * inverse
    return np.minimum(one, other).max(axis=0), np.maximum(one, other).min(axis=0)


def _planar(frame: Frame, local_3n: Floats, normal_3n: Floats) -> Surface:
    """Lay the coat flat on the plane that the surface mostly faces."""
    metres_3n = local_3n * frame.half_3[:, None]
    face_n = np.abs(normal_3n).argmax(axis=0)
    u_n = np.where(face_n == 0, metres_3n[2], metres_3n[0])
    v_n = np.where(face_n == 1, metres_3n[2], metres_3n[1])
    return Surface(normal_3n, u_n, v_n, face_n)


def _face_normals(local_3n: Floats) -> Floats:
    face_n = np.abs(local_3n).argmax(axis=0)
    normal_3n = np.zeros_like(local_3n)
    columns = np.arange(local_3n.shape[1])
    normal_3n[face_n, columns] = np.sign(local_3n[face_n, columns])
    return normal_3n


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A box."""

    frame: Frame
    coats: Coats
    casts: bool = True

    def hit(self, start_3n: Floats, along_3n: Floats) -> Floats:
        """See `Body`."""
        enters, leaves = _slabs(*self.frame.ray(start_3n, along_3n))
        return _first(enters, leaves >= enters)

    def surface(self, local_3n: Floats) -> Surface:
        """See `Body`."""
        return _planar(self.frame, local_3n, _face_normals(local_3n))


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """A box seen from inside: walls (x and z), floor and ceiling (y)."""

    frame: Frame
    coats: Coats
    casts: bool = False

    def hit(self, start_3n: Floats, along_3n: Floats) -> Floats:
        """See `Body`."""
        _, leaves = _slabs(*self.frame.ray(start_3n, along_3n))
        return _first(leaves, np.ones_like(leaves, dtype=bool))

    def surface(self, local_3n: Floats) -> Surface:
        """See `Body`."""
        return _planar(self.frame, local_3n, -_face_normals(local_3n))


@dataclass(frozen=True, slots=True, eq=False)
class Ellipsoid:
    """An ellipsoid."""

    frame: Frame
    coats: Coats
    casts: bool = True

    def hit(self, start_3n: Floats, along_3n: Floats) -> Floats:
        """See `Body`."""
        start, along = self.frame.ray(start_3n, along_3n)
        a, b = (along * along).sum(axis=0), (start * along).sum(axis=0)
        inside = b * b - a * ((start * start).sum(axis=0) - 1.0)
        return _first((-b - np.sqrt(np.maximum(inside, 0.0))) / a, inside > 0.0)

    def surface(self, local_3n: Floats) -> Surface:
        """See `Body`."""
        normal_3n = local_3n / self.frame.half_3[:, None]
        normal_3n /= np.sqrt((normal_3n * normal_3n).sum(axis=0)) + 1e-9
        return _planar(self.frame, local_3n, normal_3n)


@dataclass(frozen=True, slots=True, eq=False)
class Cylinder:
    """An upright cylinder with flat ends; its axis is its own y."""

    frame: Frame
    coats: Coats
    casts: bool = True

    def hit(self, start_3n: Floats, along_3n: Floats) -> Floats:
        """See `Body`."""
        start, along = self.frame.ray(start_3n, along_3n)
        a = along[0] * along[0] + along[2] * along[2] + 1e-12
        b = start[0] * along[0] + start[2] * along[2]
        inside = b * b - a * (start[0] * start[0] + start[2] * start[2] - 1.0)
        root = np.sqrt(np.maximum(inside, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            one, other = (-1.0 - start[1]) / along[1], (1.0 - start[1]) / along[1]
        enters = np.maximum((-b - root) / a, np.minimum(one, other))
        leaves = np.minimum((-b + root) / a, np.maximum(one, other))
        return _first(enters, (inside > 0.0) & (leaves >= enters))

    def surface(self, local_3n: Floats) -> Surface:
        """See `Body`."""
        x, y, z = local_3n
        is_end = np.abs(y) > np.sqrt(x * x + z * z)
        half = self.frame.half_3
        normal_3n = np.where(is_end, np.stack((0 * x, np.sign(y), 0 * x)), np.stack((x, 0 * y, z)))
        normal_3n /= np.sqrt((normal_3n * normal_3n).sum(axis=0)) + 1e-9
        u_n = np.where(is_end, x, np.arctan2(z, x)) * half[0]
        v_n = np.where(is_end, z * half[2], y * half[1])
        return Surface(normal_3n, u_n, v_n, np.where(is_end, 1, 0))


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """A flat thing with a silhouette, in its own x-y plane: foliage, a ridge far away.

    Attributes:
        mask_hw: bool [H, W], first row on top.
    """

    frame: Frame
    coats: Coats
    mask_hw: npt.NDArray[np.bool_]
    casts: bool = False

    def hit(self, start_3n: Floats, along_3n: Floats) -> Floats:
        """See `Body`."""
        start, along = self.frame.ray(start_3n, along_3n)
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = -start[2] / along[2]
            x, y = start[0] + depth * along[0], start[1] + depth * along[1]
            within = (np.abs(x) < 1.0) & (np.abs(y) < 1.0)
        height, width = self.mask_hw.shape
        row = ((1.0 - np.where(within, y, 0.0)) * (0.5 * height)).astype(np.int64)
        column = ((1.0 + np.where(within, x, 0.0)) * (0.5 * width)).astype(np.int64)
        kept = self.mask_hw[row.clip(max=height - 1), column.clip(max=width - 1)]
        return _first(depth, within & kept)

    def surface(self, local_3n: Floats) -> Surface:
        """See `Body`."""
        normal_3n = np.zeros_like(local_3n)
        normal_3n[2] = -1.0
        return _planar(self.frame, local_3n, normal_3n)
