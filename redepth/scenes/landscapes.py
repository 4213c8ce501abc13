"""Surfaces that fill the picture: dunes and cloth."""

from __future__ import annotations

import math

import numpy as np

from redepth.scenes.draws import chance, choice, uniform
from redepth.scenes.fields import Grid, Noise, draw_noise, ridge, smoothstep, turned
from redepth.scenes.relief import Field, Material, Relief, everywhere, mixed, one_colour
from redepth.scenes.scene import Array

SANDS = (
    Material("golden sand", (0.72, 0.50, 0.24)),
    Material("red sand", (0.58, 0.27, 0.14)),
    Material("white sand", (0.80, 0.75, 0.66)),
    Material("grey sand", (0.42, 0.40, 0.38)),
)
CLOTHS = (
    Material("red velvet", (0.50, 0.05, 0.07), 0.15),
    Material("blue silk", (0.12, 0.22, 0.55), 0.5),
    Material("white linen", (0.80, 0.78, 0.74)),
    Material("green wool", (0.14, 0.32, 0.15)),
    Material("purple satin", (0.34, 0.12, 0.40), 0.6),
    Material("yellow cotton", (0.78, 0.60, 0.16)),
)


def draw_dunes(rng: np.random.Generator) -> Relief:
    """Draw wandering crests, gentle to windward and steep to leeward, some with ripples."""
    angle, number = uniform(rng, 50.0, 130.0), uniform(rng, 6.0, 11.0)
    phase, skew, wander = uniform(rng, 0.0, math.tau), uniform(rng, 0.55, 0.85), draw_noise(rng, 3)
    swell, rippled = draw_noise(rng, 3), chance(rng, 0.6)
    ripple_angle, bend = uniform(rng, 0.0, 180.0), draw_noise(rng, 4)

    def height(place: Grid) -> Array:
        along, _ = turned(place.u_hw, place.v_hw, angle)
        steps = number * along + phase + 0.9 * wander.on(place)
        crest = np.sin(steps + skew * np.sin(steps + 0.9))
        total = crest * (1.0 + 0.3 * swell.on(place)) + 0.35 * bend.on(place)
        if rippled:
            across, _ = turned(place.u_hw, place.v_hw, ripple_angle)
            ripples = np.sin(26.0 * across + 2.0 * bend.on(place) + wander.on(place))
            total = total + 0.05 * ripples * smoothstep(crest, -1.0, 0.5)
        return total / number

    sand = choice(rng, SANDS)
    albedo = one_colour(rng, sand.colour, uniform(rng, 0.04, 0.09))
    ripples = " with ripples" if rippled else ""
    return Relief(f"dunes of {sand.name}{ripples}", height, albedo, everywhere, sand.gloss)


def draw_cloth(rng: np.random.Generator) -> Relief:
    """Draw 5 to 9 folds that bend, start and end, over soft waves."""
    folds = [_draw_fold(rng) for _ in range(int(rng.integers(5, 10)))]
    main = uniform(rng, 0.0, 180.0)
    spread = uniform(rng, 8.0, 35.0)
    angles = [main + spread * float(rng.standard_normal()) for _ in folds]
    waves = draw_noise(rng, 4)

    def height(place: Grid) -> Array:
        total = 0.05 * waves.on(place)
        for angle, fold in zip(angles, folds, strict=True):
            total = total + fold(place, angle)
        return total

    cloth = choice(rng, CLOTHS)
    albedo = one_colour(rng, cloth.colour, uniform(rng, 0.04, 0.10))
    striped = chance(rng, 0.3)
    painted = _striped(rng, albedo) if striped else albedo
    stripes = "striped " if striped else ""
    return Relief(f"folds of {stripes}{cloth.name}", height, painted, everywhere, cloth.gloss)


class _Fold:
    """A long rounded ridge along a bent line, which fades at both ends."""

    def __init__(self, values: Array, bend: Noise) -> None:
        self._offset, self._middle, self._length, self._width, self._height, self._curve = values
        self._bend = bend

    def __call__(self, place: Grid, angle_deg: float) -> Array:
        along, across = turned(place.u_hw, place.v_hw, angle_deg)
        across = across - self._offset - self._curve * along**2 - 0.06 * self._bend.on(place)
        fade = ridge(along - self._middle, self._length)
        width = self._width * (1.0 + 0.5 * (1.0 - fade))
        height: Array = self._height * fade * np.exp(-((across / width) ** 2))
        return height


def _draw_fold(rng: np.random.Generator) -> _Fold:
    low = np.array([-1.1, -0.8, 0.6, 0.09, 0.10, -0.35])
    high = np.array([1.1, 0.8, 1.6, 0.24, 0.30, 0.35])
    return _Fold(rng.uniform(low, high), draw_noise(rng, 4))


def _striped(rng: np.random.Generator, cloth: Field) -> Field:
    """Return the cloth with pale stripes: colour that is no shape."""
    angle, number = uniform(rng, 0.0, 180.0), uniform(rng, 10.0, 18.0)

    def albedo(place: Grid) -> Array:
        along, _ = turned(place.u_hw, place.v_hw, angle)
        share = 0.45 * smoothstep(np.sin(number * along), 0.2, 0.6)
        return mixed(cloth(place), np.array([0.75, 0.72, 0.66]), share)

    return albedo
