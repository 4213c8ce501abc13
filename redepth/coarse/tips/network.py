"""TIPSv2-DPT through transformers: metres, up to the last of the depths that its head weighs.

The picture is made square, as the checkpoint's own processor does, whose class asks for
torchvision, and its map is brought back. The head was trained on NYU Depth v2: rooms, up to 10 m.
The focal length is ignored.

Source: TIPSv2, https://arxiv.org/abs/2604.12012.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import Tipsv2DptForDepthEstimation

from redepth.coarse.batches import EstimateOutcome, only
from redepth.coarse.checkpoint import PROCESSOR_FILE, read_checkpoint
from redepth.coarse.far_limit import far_limit_m
from redepth.coarse.part import Coarse, CoarseModel
from redepth.coarse.pictures import split_maps, stack_pictures
from redepth.errors import ConfigError
from redepth.geometry.sizes import UpperBound
from redepth.types import ByteImage, CoarseDepth, DepthKind, ModelCard
from redepth.weights import reading

# The network's picture has a size of its own; the label's needs no multiple of anything.
_MULTIPLE_PX = 1


class Tips:
    """A TIPSv2-DPT checkpoint: a `DepthEstimator`. Runs in float32, weights frozen.

    The network sees a square of its own size (448 px), whatever `size_px` says: that is the size of
    the label, and of the picture that the square is made from.
    """

    kind = DepthKind.METRIC_DEPTH

    def __init__(
        self,
        model: Tipsv2DptForDepthEstimation,
        side_px: int,
        card: ModelCard,
        settings: Coarse,
        preset: CoarseModel,
        device: torch.device,
    ) -> None:
        """Take a loaded model.

        Raises:
            ConfigError: the recipe's far limit lies beyond the model's end.
        """
        self.card = card
        self.processing_size = UpperBound(settings.size_px, _MULTIPLE_PX)
        self._far_limit_m = far_limit_m(settings, preset, float(model.config.max_depth))
        self._side_px = side_px
        self._device = device
        self._model = model.to(device=device, dtype=torch.float32).eval().requires_grad_(False)

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        """Return the coarse map in metres, float32 [H, W].

        Args:
            rgb_hw3: uint8 [H, W, 3], any size.
            focal_px: is ignored.
        """
        return only(self.estimate_batch([rgb_hw3], [focal_px]))

    @torch.inference_mode()
    def estimate_batch(
        self, rgbs_hw3: Sequence[ByteImage], focals_px: Sequence[float | None]
    ) -> list[EstimateOutcome]:
        """Return what `estimate` would of each picture; see `BatchEstimator`."""
        height_px, width_px, _ = rgbs_hw3[0].shape
        shown = _resized(stack_pictures(rgbs_hw3, self._device), (self._side_px, self._side_px))
        raw = self._model(shown).predicted_depth
        maps_bhw = _resized(raw[:, None], (height_px, width_px))[:, 0]
        return [
            CoarseDepth(map_hw, self.kind, far_limit_m=self._far_limit_m)
            for map_hw in split_maps(maps_bhw)
        ]


def _resized(image_bchw: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize bilinearly; where pixels become fewer they are averaged, as the processor does."""
    if image_bchw.shape[-2:] == size_hw:
        return image_bchw
    return functional.interpolate(
        image_bchw, size=size_hw, mode="bilinear", align_corners=False, antialias=True
    )


def load_tips(settings: Coarse, preset: CoarseModel, device: torch.device) -> Tips:
    """Load a TIPSv2-DPT from the hub or a folder.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are no TIPSv2-DPT's for depth.
    """
    found = read_checkpoint(Tipsv2DptForDepthEstimation, settings, preset)
    with reading("TIPSv2-DPT", found.path):
        side_px = _side_px(found.path)
    patch_px = int(found.model.config.backbone_config.patch_size)
    if side_px % patch_px:
        raise ConfigError(
            f"{found.source} asks for pictures of {side_px} px, which patches of {patch_px} px "
            "do not fill: correct size in its preprocessor_config.json"
        )
    return Tips(found.model, side_px, found.card, settings, preset, device)


def _side_px(folder: Path) -> int:
    """Read the side of the square from the processor's settings.

    Raises:
        ValueError: they ask for another shape.
    """
    size = json.loads((folder / PROCESSOR_FILE).read_text(encoding="utf-8"))["size"]
    height_px, width_px = int(size["height"]), int(size["width"])
    if height_px != width_px or height_px < 1:
        raise ValueError(f"pictures of {height_px} x {width_px} px are not square")
    return height_px
