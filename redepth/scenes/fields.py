"""Functions over the picture plane: the grid, profiles to build surfaces from, and smooth noise.

Everything is a function of place, drawn once and evaluated at any size: a scene keeps its shape
when it is rendered larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from redepth.scenes.scene import Array

_SPLINE_STD = 0.479  # of a cubic B-spline surface over unit white noise, averaged over place


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Pixel centres of a square picture, as in `geometry.normals`: u right, v up, both -1 to 1."""

    size_px: int
    u_hw: Array
    v_hw: Array


@lru_cache(maxsize=16)
def grid(size_px: int) -> Grid:
    """Return the grid of a picture of `size_px` x `size_px`. Its arrays are read-only."""
    axis = np.linspace(-1.0, 1.0, size_px)
    u_hw, v_hw = np.meshgrid(axis, axis[::-1])
    u_hw.setflags(write=False)
    v_hw.setflags(write=False)
    return Grid(size_px, u_hw, v_hw)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a motif lies in the picture: shift, turn against the clock, size."""

    u: float = 0.0
    v: float = 0.0
    angle_deg: float = 0.0
    scale: float = 1.0

    def local(self, place: Grid) -> tuple[Array, Array]:
        """Return the motif's own coordinates (x, y) of every pixel."""
        return turned(
            (place.u_hw - self.u) / self.scale, (place.v_hw - self.v) / self.scale, self.angle_deg
        )


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """A smooth random surface: cubic B-splines over a lattice of normal draws, of unit variance."""

    lattice: Array

    def on(self, place: Grid) -> Array:
        """Return the surface over a grid, [H, W]."""
        weights = _spline_weights(place.size_px, len(self.lattice) - 3)
        surface: Array = weights @ self.lattice @ weights.T
        return surface


def draw_noise(rng: np.random.Generator, num_cells: int) -> Noise:
    """Draw a surface whose bumps are 2 / num_cells wide."""
    lattice = rng.standard_normal((num_cells + 3, num_cells + 3))
    return Noise(lattice / _SPLINE_STD)


def turned(x: Array, y: Array, angle_deg: float) -> tuple[Array, Array]:
    """Return the coordinates in axes that are turned by `angle_deg` against the clock."""
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return x * cosine + y * sine, y * cosine - x * sine


def smoothstep(values: Array, start: float, end: float) -> Array:
    """Return 0 before `start`, 1 past `end`, 3 t^2 - 2 t^3 between."""
    share = np.clip((values - start) / (end - start), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def bell(x: Array, y: Array, width: float, height: float) -> Array:
    """Return exp(-(x / width)^2 - (y / height)^2)."""
    return np.exp(-((x / width) ** 2) - (y / height) ** 2)


def ridge(across: Array, width: float) -> Array:
    """Return exp(-(across / width)^2), the cross section of a rounded ridge."""
    return np.exp(-((across / width) ** 2))


def dome(squared_radius: Array, softness: float) -> Array:
    """Return half an ellipsoid over the disc squared_radius < 1, flat outside, 1 at the middle.

    sqrt(max(1 - r^2, 0) + e) - sqrt(e), normalised: e keeps the edge's slope finite.
    """
    inside = np.maximum(1.0 - squared_radius, 0.0)
    soft = math.sqrt(softness)
    return (np.sqrt(inside + softness) - soft) / (math.sqrt(1.0 + softness) - soft)


@lru_cache(maxsize=64)
def _spline_weights(size_px: int, num_cells: int) -> Array:
    """Return [size, cells + 3]: what each lattice value weighs at each pixel of a side."""
    position = np.linspace(0.0, num_cells, size_px)
    cell = np.minimum(position.astype(int), num_cells - 1)
    t = position - cell
    weights = np.zeros((size_px, num_cells + 3))
    rows = np.arange(size_px)
    weights[rows, cell] = (1 - t) ** 3 / 6
    weights[rows, cell + 1] = (3 * t**3 - 6 * t**2 + 4) / 6
    weights[rows, cell + 2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
    weights[rows, cell + 3] = t**3 / 6
    return weights
