"""Fit a picture of any shape into the square that the diffusion prior was trained on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Box:
    """Where the picture lies inside the square: first row and column, height and width."""

    top_px: int
    left_px: int
    height_px: int
    width_px: int


def letterbox_box(height_px: int, width_px: int, size_px: int) -> Box:
    """Return where a picture lands: scaled by the smaller ratio, centred."""
    scale = min(size_px / height_px, size_px / width_px)
    height, width = round(height_px * scale), round(width_px * scale)
    return Box((size_px - height) // 2, (size_px - width) // 2, height, width)


def letterbox(image_bchw: Tensor, size_px: int = 512) -> Tensor:
    """Scale into a size_px square: bilinear with aligned corners, zeros around, aspect kept.

    Args:
        image_bchw: float [B, C, H, W].

    Returns:
        float [B, C, size_px, size_px]; done before the map to [-1, 1], so the border is black.

    Source: Re-Depth Anything, input of the prior.
    """
    box = letterbox_box(image_bchw.shape[2], image_bchw.shape[3], size_px)
    scaled = functional.interpolate(
        image_bchw, size=(box.height_px, box.width_px), mode="bilinear", align_corners=True
    )
    right = size_px - box.width_px - box.left_px
    bottom = size_px - box.height_px - box.top_px
    return functional.pad(scaled, (box.left_px, right, box.top_px, bottom))
