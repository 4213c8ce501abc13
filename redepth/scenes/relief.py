"""A relief: one continuous surface, its paint and the words for it, before light falls on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from redepth.scenes.draws import choice, uniform
from redepth.scenes.fields import Grid, draw_noise
from redepth.scenes.scene import Array, BoolMap

Rgb = tuple[float, float, float]
Field = Callable[[Grid], Array]


@dataclass(frozen=True, slots=True)
class Material:
    """A name, a linear colour, and how strongly light is mirrored (0 dull, 1 as metal here)."""

    name: str
    colour: Rgb
    gloss: float = 0.0


@dataclass(frozen=True, slots=True)
class Relief:
    """One surface, as functions of place that can be evaluated at any size.

    Attributes:
        words: what it is, with an article.
        height: towards the viewer, in any unit: the renderer sets the slope.
        albedo: Grid -> [H, W, 3], linear.
        inside: > 0 on the thing that the words name, < 0 beside it.
        gloss: of the material.
    """

    words: str
    height: Field
    albedo: Field
    inside: Field
    gloss: float

    def mask(self, place: Grid) -> BoolMap:
        """Return where the named thing is, bool [H, W]."""
        return self.inside(place) > 0


STONES = (
    Material("clay", (0.50, 0.24, 0.14)),
    Material("plaster", (0.80, 0.78, 0.73)),
    Material("slate", (0.20, 0.23, 0.28), 0.1),
    Material("sandstone", (0.66, 0.49, 0.29)),
    Material("jade", (0.23, 0.48, 0.32), 0.3),
    Material("wax", (0.78, 0.62, 0.33), 0.2),
)
TABLES = (
    Material("oak", (0.32, 0.19, 0.10)),
    Material("felt", (0.07, 0.20, 0.13)),
    Material("linen", (0.60, 0.55, 0.47)),
    Material("slate", (0.16, 0.17, 0.20)),
)


def everywhere(place: Grid) -> Array:
    """The whole picture is the thing."""
    return np.ones_like(place.u_hw)


def mixed(first_hw3: Array, second_hw3: Array, share_hw: Array) -> Array:
    """Return the first colour where the share is 0, the second where it is 1."""
    colours: Array = first_hw3 + share_hw[..., None] * (second_hw3 - first_hw3)
    return colours


def one_colour(rng: np.random.Generator, colour: Rgb, grain: float) -> Field:
    """Return the albedo of one material, with coarse and fine noise of strength `grain`."""
    coarse, fine = draw_noise(rng, 5), draw_noise(rng, 44)
    tint = np.asarray(colour) * np.exp(rng.normal(0.0, 0.06, 3))

    def albedo(place: Grid) -> Array:
        tone = 1.0 + grain * (0.6 * coarse.on(place) + 0.8 * fine.on(place))
        colours: Array = np.clip(tone[..., None] * tint, 0.02, 0.95)
        return colours

    return albedo


def on_table(rng: np.random.Generator, thing: Field, cover: Field) -> tuple[Field, str]:
    """Return the albedo of `thing` where `cover` is 1, of a table elsewhere; the table's name."""
    table = choice(rng, TABLES)
    ground = one_colour(rng, table.colour, uniform(rng, 0.05, 0.15))

    def albedo(place: Grid) -> Array:
        return mixed(ground(place), thing(place), cover(place))

    return albedo, table.name
