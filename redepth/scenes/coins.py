"""Coins: a disc with a rim, beads or ridges along it, and a motif."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from redepth.scenes.draws import chance, choice, uniform
from redepth.scenes.fields import Grid, Pose, bell, ridge, smoothstep
from redepth.scenes.relief import Material, Relief, on_table, one_colour
from redepth.scenes.scene import Array
from redepth.scenes.words import with_article

METALS = (
    Material("gold", (0.83, 0.60, 0.16), 1.0),
    Material("silver", (0.74, 0.75, 0.77), 1.0),
    Material("copper", (0.70, 0.34, 0.18), 0.9),
    Material("bronze", (0.44, 0.29, 0.12), 0.7),
    Material("iron", (0.27, 0.26, 0.26), 0.5),
)

# The outline of a head that looks to the right, from the neck to the crown.
FRONT_Y, FRONT_X = np.array(
    [
        (-0.58, 0.12), (-0.44, 0.06), (-0.39, 0.10), (-0.36, 0.25), (-0.31, 0.30), (-0.24, 0.275),
        (-0.19, 0.305), (-0.15, 0.28), (-0.11, 0.31), (-0.06, 0.29), (-0.02, 0.34), (0.02, 0.35),
        (0.12, 0.29), (0.20, 0.265), (0.28, 0.28), (0.40, 0.24), (0.50, 0.14), (0.56, -0.02),
    ]
).T  # fmt: skip
BACK_Y = np.array([-0.58, -0.45, -0.30, -0.18, -0.05, 0.10, 0.25, 0.40, 0.50, 0.56])
BACK_X = np.array([-0.32, -0.22, -0.19, -0.22, -0.29, -0.35, -0.36, -0.30, -0.20, -0.05])

# A motif gives, in the coin's own coordinates (the disc has radius 1), a height from 0 to 1.
Motif = Callable[[Array, Array], Array]


def draw_coin(rng: np.random.Generator) -> Relief:
    """Draw a coin that lies on a table."""
    shift_u, shift_v = rng.uniform(-0.07, 0.07, 2)
    pose = Pose(float(shift_u), float(shift_v), uniform(rng, -25.0, 25.0), uniform(rng, 0.78, 0.92))
    metal = choice(rng, METALS)
    motif_words, motif = _draw_motif(rng)
    edge_words, edge = _draw_edge(rng)
    thickness, relief = uniform(rng, 0.08, 0.13), uniform(rng, 0.09, 0.14)

    def inside(place: Grid) -> Array:
        x, y = pose.local(place)
        return 1.0 - np.hypot(x, y)

    def height(place: Grid) -> Array:
        x, y = pose.local(place)
        radius = np.hypot(x, y)
        disc = smoothstep(-radius, -1.0, -0.91)
        return thickness * disc + edge(x, y, radius) + relief * motif(x, y)

    face = one_colour(rng, metal.colour, uniform(rng, 0.04, 0.10))
    albedo, table = on_table(rng, face, lambda place: smoothstep(inside(place), -0.03, 0.03))
    words = f"{with_article(metal.name)} coin with {motif_words} and {edge_words} on {table}"
    return Relief(words, height, albedo, inside, metal.gloss)


def _draw_edge(rng: np.random.Generator) -> tuple[str, Callable[[Array, Array, Array], Array]]:
    """Draw what runs along the rim: nothing, ridges, beads, or a second circle."""
    rim = uniform(rng, 0.05, 0.09)
    name = choice(rng, ("a plain rim", "ridges", "beads", "a double rim"))
    count = int(rng.integers(20, 31))

    def edge(x: Array, y: Array, radius: Array) -> Array:
        height = rim * ridge(radius - 0.88, 0.07)
        around = np.arctan2(y, x)
        if name == "ridges":
            height = height * (1.0 + 0.35 * np.cos(count * around))
        elif name == "beads":
            beads = np.maximum(np.cos(0.5 * count * around), 0.0) ** 2
            height = height + 0.7 * rim * beads * ridge(radius - 0.72, 0.055)
        elif name == "a double rim":
            height = height + 0.6 * rim * ridge(radius - 0.70, 0.05)
        return height

    return name, edge


def _draw_motif(rng: np.random.Generator) -> tuple[str, Motif]:
    draw = choice(rng, (_draw_star, _draw_rosette, _draw_heart, _draw_profile, _draw_crescent))
    return draw(rng)


def _draw_star(rng: np.random.Generator) -> tuple[str, Motif]:
    """Draw a star with facets: its height falls from the middle to the edge."""
    points = int(rng.integers(4, 9))
    outer, inner = uniform(rng, 0.48, 0.6), uniform(rng, 0.18, 0.28)

    def motif(x: Array, y: Array) -> Array:
        turn = (np.arctan2(x, y) * points / math.tau) % 1.0
        spike = np.abs(2.0 * turn - 1.0)
        outline = inner * outer / (outer + (inner - outer) * spike)
        return np.clip(1.15 * (1.0 - np.hypot(x, y) / outline), 0.0, 1.0)

    return f"a star of {points} points", motif


def _draw_rosette(rng: np.random.Generator) -> tuple[str, Motif]:
    """Draw a flower: rounded petals about a button."""
    petals, reach = int(rng.integers(5, 9)), uniform(rng, 0.45, 0.58)

    def motif(x: Array, y: Array) -> Array:
        radius = np.hypot(x, y)
        petal = 0.5 + 0.5 * np.cos(petals * np.arctan2(y, x))
        blades: Array = ridge(radius - 0.62 * reach, 0.42 * reach) * petal**0.7
        return np.maximum(0.85 * blades, smoothstep(-radius, -0.20, -0.08))

    return f"a flower of {petals} petals", motif


def _draw_heart(rng: np.random.Generator) -> tuple[str, Motif]:
    """Draw a heart, cushioned or flat."""
    size, bevel = uniform(rng, 0.38, 0.46), uniform(rng, 0.08, 0.20)

    def motif(x: Array, y: Array) -> Array:
        lobes = y + 0.04 - 0.75 * np.sqrt(size * np.abs(x))
        return smoothstep(size - np.hypot(x, lobes), 0.0, bevel)

    return "a heart", motif


def _draw_profile(rng: np.random.Generator) -> tuple[str, Motif]:
    """Draw a head from the side, cut off at the neck."""
    side, nose = choice(rng, (-1.0, 1.0)), uniform(rng, 0.02, 0.12)
    banded, stretch = chance(rng, 0.5), uniform(rng, 0.92, 1.08)
    front_x = FRONT_X + nose * ridge(FRONT_Y - 0.01, 0.06)

    def motif(x: Array, y: Array) -> Array:
        x, y = side * x * stretch, y / stretch
        front, back = np.interp(y, FRONT_Y, front_x), np.interp(y, BACK_Y, BACK_X)
        margin = np.minimum(np.minimum(front - x, x - back), np.minimum(y + 0.58, 0.56 - y))
        cushion = np.sqrt(np.clip(3.0 * margin, 0.0, 1.0))
        head = 0.55 * smoothstep(margin, 0.0, 0.10) + 0.45 * cushion
        socket = bell(x - 0.21, y - 0.14, 0.09, 0.06)
        eye = 0.22 * bell(x - 0.20, y - 0.14, 0.05, 0.03) - 0.25 * socket
        ear = 0.25 * bell(x + 0.04, y - 0.08, 0.05, 0.08)
        band = 0.30 * ridge(y - 0.27 - 0.15 * x, 0.04) if banded else 0.0
        detail: Array = (eye + ear + band) * smoothstep(margin, 0.0, 0.05)
        figure: Array = head + detail
        return figure

    return f"a head in profile{' that wears a band' if banded else ''}", motif


def _draw_crescent(rng: np.random.Generator) -> tuple[str, Motif]:
    """Draw a moon with a small star in it."""
    bite, side = uniform(rng, 0.20, 0.28), choice(rng, (-1.0, 1.0))

    def motif(x: Array, y: Array) -> Array:
        x = side * x
        margin = np.minimum(0.52 - np.hypot(x, y), np.hypot(x - bite, y) - 0.40)
        star = smoothstep(-np.hypot(x - bite, y), -0.15, 0.0)
        return np.maximum(smoothstep(margin, -0.01, 0.11), star)

    return "a crescent moon", motif
