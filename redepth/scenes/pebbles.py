"""Pebbles: rounded or flat-topped stones of any outline, on a table.

They mean as little as the other surfaces of family A, and show a depth network what those cannot:
a ground that is flat, an outline, and a thing whose colour is not the ground's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from redepth.scenes.draws import choice, uniform
from redepth.scenes.fields import Grid, Noise, Pose, draw_noise, smoothstep
from redepth.scenes.relief import STONES, Relief, on_table, one_colour
from redepth.scenes.scene import Array
from redepth.scenes.words import counted


@dataclass(frozen=True, slots=True, eq=False)
class Pebble:
    """One stone in its own coordinates."""

    pose: Pose
    stretch: float
    power: float  # of the outline |x|^p + |y|^p: 2 an ellipse, more a box with round corners
    wobble: Noise
    rim: float  # how far in it has risen to its height: 1 a dome, little a plateau
    lift: float
    roughness: Noise

    def inside(self, place: Grid) -> Array:
        """Return > 0 on the stone: 1 at its middle, 0 at its outline."""
        x, y = self.pose.local(place)
        radius = np.abs(x) ** self.power + np.abs(y / self.stretch) ** self.power
        depth: Array = 1.0 - radius * (1.0 + 0.18 * self.wobble.on(place))
        return depth

    def height(self, place: Grid) -> Array:
        """Return the height over the table."""
        cover = smoothstep(self.inside(place), -0.05, self.rim)
        return self.lift * cover * (1.0 + 0.12 * self.roughness.on(place))


def draw_pebbles(rng: np.random.Generator) -> Relief:
    """Draw 1 to 4 pebbles, all of one stone."""
    material = choice(rng, STONES)
    count = int(rng.integers(1, 5))
    pebbles = [_draw_pebble(rng, count) for _ in range(count)]

    def height(place: Grid) -> Array:
        heights: Array = np.max([pebble.height(place) for pebble in pebbles], axis=0)
        return heights

    def inside(place: Grid) -> Array:
        depths: Array = np.max([pebble.inside(place) for pebble in pebbles], axis=0)
        return depths

    stone = one_colour(rng, material.colour, uniform(rng, 0.03, 0.12))
    albedo, table = on_table(rng, stone, lambda place: smoothstep(inside(place), -0.05, 0.05))
    words = f"{counted(count, f'{material.name} pebble')} on {table}"
    return Relief(words, height, albedo, inside, material.gloss)


def _draw_pebble(rng: np.random.Generator, count: int) -> Pebble:
    """Draw a stone, the smaller the more there are."""
    reach = 0.15 + 0.15 * count
    u, v = rng.uniform(-reach, reach, 2)
    size = uniform(rng, 0.5, 0.85) / count**0.4
    return Pebble(
        pose=Pose(float(u), float(v), uniform(rng, 0.0, 360.0), size),
        stretch=uniform(rng, 0.5, 1.0),
        power=uniform(rng, 1.6, 4.0),
        wobble=draw_noise(rng, 4),
        rim=uniform(rng, 0.2, 1.0),
        lift=size * uniform(rng, 0.5, 1.0),
        roughness=draw_noise(rng, int(rng.integers(3, 12))),
    )
