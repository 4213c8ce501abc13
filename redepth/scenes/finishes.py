"""What solids are covered with: one colour, checks, stripes, noise or wood, in their own metres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from redepth.scenes.draws import chance, choice, uniform
from redepth.scenes.relief import Rgb
from redepth.scenes.scene import Array

COLOURS: dict[str, Rgb] = {
    "red": (0.55, 0.06, 0.05),
    "orange": (0.72, 0.28, 0.05),
    "yellow": (0.75, 0.58, 0.08),
    "green": (0.10, 0.40, 0.12),
    "blue": (0.08, 0.18, 0.55),
    "purple": (0.32, 0.10, 0.42),
    "white": (0.80, 0.80, 0.78),
    "grey": (0.34, 0.34, 0.35),
}
PALE: Rgb = (0.78, 0.76, 0.70)
WOOD: tuple[Rgb, Rgb] = (0.46, 0.25, 0.11), (0.24, 0.11, 0.05)
NUM_WAVES = 9
STRIPES_ALONG = np.array([0.8, 0.6, 0.0])


class Texture(StrEnum):
    """How colour changes over a surface. The value is the word in a caption; plain is silent."""

    PLAIN = ""
    CHECKED = "checked"
    STRIPED = "striped"
    SPECKLED = "speckled"
    WOODEN = "wooden"


@dataclass(frozen=True, slots=True, eq=False)
class Finish:
    """Two colours and how they mix over space.

    Attributes:
        words: colour and texture, for captions.
        first, second: linear colours, [3].
        per_metre: checks, stripes, specks or rings in a metre.
        waves_k4: [K, 4], wave vectors (rad/m) and phases of the noise.
        gloss: of highlights, 0 to 1.
    """

    words: str
    texture: Texture
    first: Array
    second: Array
    per_metre: float
    waves_k4: Array
    gloss: float

    def albedo(self, points_n3: Array) -> Array:
        """Return the linear albedo, [N, 3], at points in the solid's frame, in metres."""
        share = self._share(points_n3)[:, None]
        return self.first + share * (self.second - self.first)

    def _share(self, points_n3: Array) -> Array:
        scaled = points_n3 * self.per_metre
        if self.texture is Texture.CHECKED:
            # Off the lattice: a face that lies on a whole number would flicker between two checks.
            return _odd(np.floor(scaled + 0.273).sum(axis=-1))
        if self.texture is Texture.STRIPED:
            return _odd(np.floor(2.0 * (scaled @ STRIPES_ALONG) + 0.273))
        if self.texture is Texture.WOODEN:
            rings = np.hypot(scaled[:, 0] + 0.4, scaled[:, 2] + 0.7) + 0.2 * scaled[:, 1]
            return 0.5 + 0.5 * np.sin(math.tau * rings + 0.9 * self._noise(points_n3))
        if self.texture is Texture.SPECKLED:
            return np.clip(0.5 + 0.5 * self._noise(points_n3), 0.0, 1.0)
        return np.zeros(len(points_n3))

    def _noise(self, points_n3: Array) -> Array:
        phases = points_n3 @ self.waves_k4[:, :3].T + self.waves_k4[:, 3]
        mixed: Array = np.sin(phases).sum(axis=-1) * math.sqrt(2.0 / NUM_WAVES)
        return mixed


def _odd(whole: Array) -> Array:
    """Return 1 for odd numbers, 0 for even ones."""
    return np.remainder(whole, 2.0)


def draw_finish(rng: np.random.Generator, per_metre: float) -> Finish:
    """Draw the finish of a thing; `per_metre` sets how fine its texture is."""
    texture = choice(rng, tuple(Texture))
    gloss = uniform(rng, 0.3, 1.0) if chance(rng, 0.6) else 0.0
    if texture is Texture.WOODEN:
        return _finish(rng, "wooden", texture, *WOOD, per_metre, gloss)
    name = choice(rng, tuple(COLOURS))
    words = f"{texture.value} {name}".strip()
    second: Rgb = PALE if name != "white" else (0.30, 0.30, 0.33)
    return _finish(rng, words, texture, COLOURS[name], second, per_metre, gloss)


def draw_surroundings(rng: np.random.Generator) -> Finish:
    """Draw the finish of a floor or a wall: muted, dull."""
    texture = choice(rng, (Texture.PLAIN, Texture.CHECKED, Texture.SPECKLED, Texture.STRIPED))
    tone = uniform(rng, 0.25, 0.6)
    first = tone * np.exp(rng.normal(0.0, 0.10, 3))
    second = np.clip(first * uniform(rng, 0.55, 0.75), 0.05, 0.9)
    colours = tuple(first.tolist()), tuple(second.tolist())
    return _finish(rng, texture.value, texture, *colours, uniform(rng, 1.0, 3.0), 0.0)


def plain_finish(rng: np.random.Generator, words: str, colour: Rgb, gloss: float) -> Finish:
    """Return the finish of one material that the scene asks for."""
    return _finish(rng, words, Texture.PLAIN, colour, PALE, 4.0, gloss)


def _finish(
    rng: np.random.Generator,
    words: str,
    texture: Texture,
    first: Rgb,
    second: Rgb,
    per_metre: float,
    gloss: float,
) -> Finish:
    directions = rng.standard_normal((NUM_WAVES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions *= math.tau * per_metre * rng.uniform(0.3, 1.5, (NUM_WAVES, 1))
    waves = np.concatenate((directions, rng.uniform(0.0, math.tau, (NUM_WAVES, 1))), axis=1)
    return Finish(words, texture, np.asarray(first), np.asarray(second), per_metre, waves, gloss)
