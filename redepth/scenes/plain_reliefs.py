"""Family A: lumps, gaussians, saddles, swells. Abstract surfaces."""

from __future__ import annotations

import math

import numpy as np

from redepth.scenes.draws import choice, sign, uniform
from redepth.scenes.fields import Grid, Pose, bell, draw_noise
from redepth.scenes.relief import STONES, Field, Relief, everywhere, one_colour
from redepth.scenes.scene import Array
from redepth.scenes.words import counted

GRAIN = 0.03


def draw_lumps(rng: np.random.Generator) -> Relief:
    """Draw 5 to 10 domes that grow out of gently rolling ground."""
    poses = [_draw_pose(rng, 0.28, 0.60) for _ in range(int(rng.integers(5, 11)))]
    stretches = [uniform(rng, 0.6, 1.0) for _ in poses]
    ground = draw_noise(rng, 3)

    def height(place: Grid) -> Array:
        total = 0.04 * ground.on(place)
        for pose, stretch in zip(poses, stretches, strict=True):
            x, y = pose.local(place)
            total = total + pose.scale * np.maximum(1.0 - x**2 - (y / stretch) ** 2, 0.0) ** 1.5
        return total

    return _plain(rng, height, counted(len(poses), "round lump"))


def draw_gaussians(rng: np.random.Generator) -> Relief:
    """Draw 5 to 9 bells, up and down."""
    poses = [_draw_pose(rng, 0.25, 0.55) for _ in range(int(rng.integers(5, 10)))]
    stretches = [uniform(rng, 0.55, 1.0) for _ in poses]
    signs = [1.0, -1.0, *(sign(rng) for _ in poses[2:])]

    def height(place: Grid) -> Array:
        total = np.zeros_like(place.u_hw)
        for pose, stretch, way in zip(poses, stretches, signs, strict=True):
            total = total + way * pose.scale * bell(*pose.local(place), 1.0, stretch)
        return total

    hollows = signs.count(-1.0)
    words = f"{counted(len(poses) - hollows, 'soft hill')} and {counted(hollows, 'hollow')}"
    return _plain(rng, height, words)


def draw_saddles(rng: np.random.Generator) -> Relief:
    """Draw 4 to 7 saddles that fade into one another."""
    poses = [_draw_pose(rng, 0.28, 0.5) for _ in range(int(rng.integers(4, 8)))]
    orders = [int(choice(rng, (2, 2, 3))) for _ in poses]

    def height(place: Grid) -> Array:
        total = np.zeros_like(place.u_hw)
        for pose, order in zip(poses, orders, strict=True):
            x, y = pose.local(place)
            wave = ((x + 1j * y) ** order).real
            total = total + pose.scale * wave * np.exp(-(x**2) - y**2)
        return total

    return _plain(rng, height, counted(len(poses), "saddle"))


def draw_swells(rng: np.random.Generator) -> Relief:
    """Draw 3 to 5 trains of waves from all sides."""
    num_trains = int(rng.integers(3, 6))
    angles = rng.uniform(0.0, math.tau, num_trains)
    numbers = rng.uniform(3.5, 10.0, num_trains)
    phases = rng.uniform(0.0, math.tau, num_trains)
    heights = rng.uniform(0.5, 1.0, num_trains) / numbers

    def height(place: Grid) -> Array:
        total = np.zeros_like(place.u_hw)
        for angle, number, phase, high in zip(angles, numbers, phases, heights, strict=True):
            along = place.u_hw * math.cos(angle) + place.v_hw * math.sin(angle)
            total = total + high * np.sin(number * along + phase)
        return total

    return _plain(rng, height, "smooth swells")


def _plain(rng: np.random.Generator, height: Field, words: str) -> Relief:
    material = choice(rng, STONES)
    albedo = one_colour(rng, material.colour, GRAIN)
    return Relief(
        f"a {material.name} surface with {words}", height, albedo, everywhere, material.gloss
    )


def _draw_pose(rng: np.random.Generator, smallest: float, largest: float) -> Pose:
    u, v = rng.uniform(-0.9, 0.9, 2)
    return Pose(float(u), float(v), uniform(rng, 0.0, 360.0), uniform(rng, smallest, largest))
