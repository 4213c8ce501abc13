"""The coarse map as it is: the baseline, and the smoke test of everything around a refiner."""

from __future__ import annotations

from typing import Literal

import numpy as np

from redepth.flops import no_flops
from redepth.refiners.part import LoadContext, RefinerPart, RefinerSettings
from redepth.refiners.refiner import RefinementInput
from redepth.types import ByteImage, Members, ModelCard


class Identity(RefinerSettings):
    """Keep the coarse map: the baseline, and the smoke test of everything around a refiner."""

    method: Literal["identity"] = "identity"


class IdentityRefiner:
    """Return the coarse map as an ensemble of one."""

    cards: tuple[ModelCard, ...] = ()

    def caption(self, rgb_hw3: ByteImage, own_caption: str | None) -> str | None:
        """Return None: nothing here reads a prompt."""
        return None

    def refine(self, scene: RefinementInput) -> Members:
        """Return one member, [1, H, W], equal to the coarse map."""
        return Members(np.array(scene.coarse.map_hw[None]))


def _load(settings: Identity, context: LoadContext) -> IdentityRefiner:
    return IdentityRefiner()


PART = RefinerPart("identity", Identity, _load, flops=no_flops, refines=False)
