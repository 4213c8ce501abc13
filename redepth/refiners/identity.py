"""The coarse map as it is: the baseline, and the smoke test of everything around a refiner."""

from __future__ import annotations

import numpy as np

from redepth.refiners import Scene
from redepth.types import ByteImage, Members, ModelCard


class IdentityRefiner:
    """Return the coarse map as an ensemble of one."""

    cards: tuple[ModelCard, ...] = ()

    def caption(self, rgb_hw3: ByteImage, own_caption: str | None) -> str | None:
        """Return None: nothing here reads a prompt."""
        return None

    def refine(self, scene: Scene) -> Members:
        """Return one member, [1, H, W], equal to the coarse map."""
        return Members(np.array(scene.coarse.map_hw[None]))
