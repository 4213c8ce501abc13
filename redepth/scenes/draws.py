"""Draws of a scene: one generator from (family, seed, split) alone, and a few ways to ask it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from redepth.scenes.scene import Split

Drawn = TypeVar("Drawn")


def scene_generator(family: str, seed: int, split: Split) -> np.random.Generator:
    """Return the generator of a scene. The size is ignored: a seed is one scene at any size."""
    place = f"scene\x1f{family}\x1f{split.value}\x1f{seed}".encode()
    digest = hashlib.sha256(place).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return one draw from [low, high)."""
    return low + (high - low) * float(rng.random())


def choice(rng: np.random.Generator, options: Sequence[Drawn]) -> Drawn:
    """Return one of the options, all as likely."""
    return options[int(rng.integers(len(options)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return whether it happens."""
    return bool(rng.random() < probability)


def sign(rng: np.random.Generator) -> float:
    """Return -1 or 1."""
    return 1.0 if chance(rng, 0.5) else -1.0
