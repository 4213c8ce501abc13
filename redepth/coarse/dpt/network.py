"""DPT, and with it MiDaS 3, through transformers: a coarse model that a refiner never saw.

Source: Vision Transformers for Dense Prediction, https://arxiv.org/abs/2103.13413.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DPTForDepthEstimation

from redepth.coarse.batches import EstimateOutcome, only
from redepth.coarse.checkpoint import PROCESSOR_FILE, read_checkpoint
from redepth.coarse.part import Coarse, CoarseModel
from redepth.coarse.pictures import split_maps, stack_pictures
from redepth.geometry.sizes import UpperBound
from redepth.types import ByteImage, CoarseDepth, DepthKind, ModelCard
from redepth.weights import reading


@dataclass(frozen=True, slots=True)
class PictureRange:
    """Mean and deviation of the red, green and blue that a checkpoint was trained on, in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Dpt:
    """A DPT checkpoint: a `DepthEstimator`. Runs in float32, weights frozen.

    The network sees squares alone: transformers takes the tokens of any other picture for a square
    grid and would mix their rows. So a picture is made square and its map brought back, as the
    checkpoints' own processor does.
    """

    def __init__(
        self,
        model: DPTForDepthEstimation,
        picture: PictureRange,
        card: ModelCard,
        kind: DepthKind,
        size_px: int,
        device: torch.device,
    ) -> None:
        self.card = card
        self.kind = kind
        self._device = device
        # The stages halve the patches' grid; another side would come back rounded up.
        multiple = round(model.config.patch_size / min(model.config.reassemble_factors))
        self._side_px = max(size_px // multiple, 1) * multiple
        self.processing_size = UpperBound(self._side_px, multiple)
        self._model = model.to(device=device, dtype=torch.float32).eval().requires_grad_(False)
        self._mean, self._std = (
            torch.tensor(values, device=device).view(3, 1, 1)
            for values in (picture.mean, picture.std)
        )

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        """Return the coarse map, float32 [H, W].

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
        shown = (stack_pictures(rgbs_hw3, self._device) - self._mean) / self._std
        raw = self._model(_resized(shown, (self._side_px, self._side_px))).predicted_depth
        maps_bhw = _resized(raw[:, None], rgbs_hw3[0].shape[:2])[:, 0]
        return [CoarseDepth(map_hw, self.kind) for map_hw in split_maps(maps_bhw)]


def _resized(image_bchw: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize bicubically; a picture that has the size stays as it is."""
    if image_bchw.shape[-2:] == size_hw:
        return image_bchw
    return functional.interpolate(
        image_bchw, size=size_hw, mode="bicubic", align_corners=False, antialias=True
    )


def load_dpt(settings: Coarse, preset: CoarseModel, device: torch.device) -> Dpt:
    """Load a DPT from the hub, a folder, or the package.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are no DPT's.
    """
    found = read_checkpoint(DPTForDepthEstimation, settings, preset)
    with reading("DPT", found.path):
        picture = _picture_range(found.path)
    return Dpt(found.model, picture, found.card, preset.kind, settings.size_px, device)


def _picture_range(folder: Path) -> PictureRange:
    """Read two lines of the processor's settings: its class asks for torchvision."""
    settings = json.loads((folder / PROCESSOR_FILE).read_text(encoding="utf-8"))
    mean, std = (tuple(map(float, settings[f"image_{name}"])) for name in ("mean", "std"))
    return PictureRange((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))
