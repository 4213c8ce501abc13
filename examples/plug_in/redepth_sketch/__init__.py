"""A coarse model that takes bright for near, and a refiner that sharpens the map."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from scipy.ndimage import gaussian_filter

from redepth.coarse.part import Coarse, CoarseModel
from redepth.refiners.part import LoadContext, RefinerPart, RefinerSettings
from redepth.refiners.refiner import RefinementInput
from redepth.settings import Licence
from redepth.types import ByteImage, CoarseDepth, DepthKind, Members, ModelCard


class Brightness:
    """A network stands here in real life; redepth asks no more of one than this."""

    kind = DepthKind.AFFINE_DISPARITY
    card = ModelCard("coarse", "brightness", "redepth-sketch", "0.3.0", "0" * 64, "MIT")

    def __init__(self, size_px: int) -> None:
        self._size_px = size_px

    def processing_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        scale = min(1.0, self._size_px / max(height_px, width_px))
        return max(1, round(height_px * scale)), max(1, round(width_px * scale))

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        grey_hw = rgb_hw3.mean(axis=2, dtype=np.float32) / 255
        return CoarseDepth(gaussian_filter(grey_hw, 2.0), self.kind)


class Unsharp(RefinerSettings):
    """Unsharp masking: a refiner of three lines."""

    method: Literal["unsharp"] = "unsharp"
    amount: float = Field(0.5, ge=0, description="of the detail that is added")


class UnsharpRefiner:
    """Fulfils `redepth.refiners.refiner.Refiner`."""

    cards: tuple[ModelCard, ...] = ()

    def __init__(self, settings: Unsharp) -> None:
        self._amount = settings.amount

    def caption(self, rgb_hw3: ByteImage, own_caption: str | None) -> str | None:
        return None

    def refine(self, scene: RefinementInput) -> Members:
        map_hw = scene.coarse.map_hw
        return Members((map_hw + self._amount * (map_hw - gaussian_filter(map_hw, 3.0)))[None])


def load_brightness(settings: Coarse, model: CoarseModel, device: torch.device) -> Brightness:
    return Brightness(settings.size_px)


def load_unsharp(settings: Unsharp, context: LoadContext) -> UnsharpRefiner:
    return UnsharpRefiner(settings)


BRIGHTNESS = CoarseModel(
    "brightness", DepthKind.AFFINE_DISPARITY, load_brightness, licence=Licence("MIT")
)
UNSHARP = RefinerPart("unsharp", Unsharp, load_unsharp)
