"""Leaves: a cupped blade with a midrib and side veins, on a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from redepth.scenes.draws import choice, uniform
from redepth.scenes.fields import Grid, Noise, Pose, draw_noise, ridge, smoothstep
from redepth.scenes.relief import Field, Material, Relief, mixed, on_table, one_colour
from redepth.scenes.scene import Array
from redepth.scenes.words import with_article

COLOURS = (
    Material("green", (0.13, 0.34, 0.08), 0.25),
    Material("light green", (0.32, 0.50, 0.12), 0.2),
    Material("yellow", (0.72, 0.55, 0.10), 0.1),
    Material("red", (0.55, 0.11, 0.06), 0.15),
    Material("brown", (0.36, 0.20, 0.09)),
)
SHAPES = {"narrow": (0.30, 0.38), "oval": (0.44, 0.55), "broad": (0.58, 0.70)}


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """Proportions in the leaf's own coordinates: y along it from -1 (stalk) to 1 (tip)."""

    pose: Pose
    half_width: float
    widest: float  # where along the leaf, -1 to 1
    lift: float  # of the blade over the table
    cup: float  # how far the edges bend: up if positive
    bow: float  # of the midrib
    num_veins: float
    vein_slope: float
    vein_height: float
    wave: Noise

    def inside(self, place: Grid) -> Array:
        """Return the distance to the outline across the leaf, > 0 on it."""
        x, y = self._local(place)
        return self._outline(y) - np.abs(x)

    def height(self, place: Grid) -> Array:
        """Return the height over the table."""
        x, y = self._local(place)
        outline = self._outline(y)
        cover = smoothstep(outline - np.abs(x), -0.015, 0.085)
        share = np.clip(np.abs(x) / np.maximum(outline, 0.05), 0.0, 1.0)
        blade = self.lift + self.cup * share**2 - 0.10 * y**2 + 0.03 * self.wave.on(place)
        return cover * (blade + self.vein_height * self.veins(place))

    def veins(self, place: Grid) -> Array:
        """Return how much vein there is: the midrib, and side veins that fade to the edge."""
        x, y = self._local(place)
        outline = np.maximum(self._outline(y), 0.05)
        share = np.clip(np.abs(x) / outline, 0.0, 1.0)
        steps = self.num_veins * (y - self.vein_slope * np.abs(x))
        side = np.maximum(np.cos(np.pi * steps), 0.0) ** 3 * (1.0 - share) ** 0.7
        midrib = ridge(x, 0.055) * (y > -1.15) * smoothstep(-y, -1.0, -0.8)
        return np.maximum(1.25 * midrib, 0.7 * side * smoothstep(outline, 0.05, 0.15))

    def _local(self, place: Grid) -> tuple[Array, Array]:
        x, y = self.pose.local(place)
        return x - self.bow * (1.0 - y**2), y

    def _outline(self, y: Array) -> Array:
        """Return the half width at y; a thin stalk goes on below -1."""
        share = np.clip((y + 1.0) / 2.0, 0.0, 1.0)
        middle = (self.widest + 1.0) / 2.0
        power = np.log(0.5) / np.log(middle)  # moves the widest place off the middle
        blade = self.half_width * np.sin(np.pi * share**power) ** 0.8
        stalk = np.where((y < 0.0) & (y > -1.42), 0.035, -0.1)
        return np.where(np.abs(y) < 1.0, np.maximum(blade, stalk), stalk)


def draw_leaf(rng: np.random.Generator) -> Relief:
    """Draw one leaf that lies on a table."""
    name = choice(rng, tuple(SHAPES))
    leaf = _draw_proportions(rng, uniform(rng, *SHAPES[name]))
    colour = choice(rng, COLOURS)
    blade = _veined(leaf, one_colour(rng, colour.colour, uniform(rng, 0.05, 0.14)))
    albedo, table = on_table(rng, blade, lambda place: smoothstep(leaf.inside(place), -0.02, 0.02))
    words = f"{with_article(name)} {colour.name} leaf with veins on {table}"
    return Relief(words, leaf.height, albedo, leaf.inside, colour.gloss)


def _draw_proportions(rng: np.random.Generator, half_width: float) -> Leaf:
    shift_u, shift_v = rng.uniform(-0.08, 0.08, 2)
    pose = Pose(float(shift_u), float(shift_v), uniform(rng, -70.0, 70.0), uniform(rng, 0.85, 1.0))
    return Leaf(
        pose=pose,
        half_width=half_width,
        widest=uniform(rng, -0.35, 0.05),
        lift=uniform(rng, 0.16, 0.24),
        cup=uniform(rng, -0.14, 0.12),
        bow=uniform(rng, -0.16, 0.16),
        num_veins=uniform(rng, 4.0, 6.5),
        vein_slope=uniform(rng, 0.6, 1.1),
        vein_height=uniform(rng, 0.035, 0.07),
        wave=draw_noise(rng, 4),
    )


def _veined(leaf: Leaf, blade: Field) -> Field:
    """Return the blade with paler veins."""

    def albedo(place: Grid) -> Array:
        share = 0.3 * np.clip(leaf.veins(place), 0.0, 1.0)
        return mixed(blade(place), np.array([0.62, 0.62, 0.35]), share)

    return albedo
