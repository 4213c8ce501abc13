"""Depth Pro through transformers: metres, and a focal length where none is known.

The network gives an inverse depth c for a camera whose focal length is the picture's width, and a
horizontal field of view. With the focal length f and the width w, both in pixels, depth is

    z = 1 / clamp(c * w / f, 1e-4, 1e4)

f is the camera's own where it is known, else 0.5 w / tan(fov / 2). This is what transformers'
processor does, whose class asks for torchvision; it always takes the model's field of view.

Source: Depth Pro, https://arxiv.org/abs/2410.02073.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DepthProForDepthEstimation

from redepth.coarse.batches import EstimateOutcome, only
from redepth.coarse.checkpoint import PROCESSOR_FILE, read_checkpoint
from redepth.coarse.far_limit import far_limit_m
from redepth.coarse.part import Coarse, CoarseModel
from redepth.coarse.pictures import split_maps, stack_pictures
from redepth.errors import ConfigError, RefinementFailed
from redepth.geometry.sizes import UpperBound
from redepth.types import ByteImage, CoarseDepth, DepthKind, FloatMap, ModelCard
from redepth.weights import reading

_SMALLEST_INVERSE, _LARGEST_INVERSE = 1e-4, 1e4
# The network's picture has a size of its own; the label's needs no multiple of anything.
_MULTIPLE_PX = 1


class DepthPro:
    """A Depth Pro checkpoint: a `DepthEstimator`. Runs in float32, weights frozen.

    The network sees a square of its own size (1536 px), whatever `size_px` says: that is the size
    of the label, and of the picture that the square is made from.
    """

    kind = DepthKind.METRIC_DEPTH

    def __init__(
        self,
        model: DepthProForDepthEstimation,
        side_px: int,
        card: ModelCard,
        settings: Coarse,
        preset: CoarseModel,
        device: torch.device,
    ) -> None:
        self.card = card
        self._far_limit_m = far_limit_m(settings, preset)
        self.processing_size = UpperBound(settings.size_px, _MULTIPLE_PX)
        self._side_px = side_px
        self._device = device
        self._model = model.to(device=device, dtype=torch.float32).eval().requires_grad_(False)

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        """Return the coarse map in metres, and the focal length that was seen if none was given.

        Args:
            rgb_hw3: uint8 [H, W, 3], any size.
            focal_px: the camera's own, in pixels of this picture's width.

        Raises:
            RefinementFailed: no focal length is known, and the model saw no possible one.
        """
        return only(self.estimate_batch([rgb_hw3], [focal_px]))

    @torch.inference_mode()
    def estimate_batch(
        self, rgbs_hw3: Sequence[ByteImage], focals_px: Sequence[float | None]
    ) -> list[EstimateOutcome]:
        """Return what `estimate` would of each picture; see `BatchEstimator`."""
        height_px, width_px, _ = rgbs_hw3[0].shape
        shown = (stack_pictures(rgbs_hw3, self._device) - 0.5) / 0.5
        answer = self._model(_resized(shown, (self._side_px, self._side_px)))
        views_deg = answer.field_of_view.reshape(-1).tolist()
        focals = [
            _seen_focal_px(view_deg, width_px) if known_px is None else known_px
            for known_px, view_deg in zip(focals_px, views_deg, strict=True)
        ]
        inverse = answer.predicted_depth[:, None] * self._width_over_focal(width_px, focals)
        inverse_bhw = _resized(inverse, (height_px, width_px))[:, 0]
        maps = split_maps(1.0 / inverse_bhw.clamp(_SMALLEST_INVERSE, _LARGEST_INVERSE))
        return [self._outcome(*one) for one in zip(maps, focals_px, focals, strict=True)]

    def _width_over_focal(
        self, width_px: int, focals: Sequence[float | RefinementFailed]
    ) -> Tensor:
        """Return w / f of each picture, float32 [B, 1, 1, 1]; NaN where there is no f."""
        ratios = [
            math.nan if isinstance(focal, RefinementFailed) else width_px / focal
            for focal in focals
        ]
        return torch.tensor(ratios, device=self._device).view(-1, 1, 1, 1)

    def _outcome(
        self, map_hw: FloatMap, known_px: float | None, focal: float | RefinementFailed
    ) -> EstimateOutcome:
        if isinstance(focal, RefinementFailed):
            return focal
        return CoarseDepth(
            map_hw,
            self.kind,
            focal_px=focal if known_px is None else None,
            far_limit_m=self._far_limit_m,
        )


def _seen_focal_px(fov_deg: float, width_px: int) -> float | RefinementFailed:
    """Return the focal length of a field of view; the failure where no camera has that."""
    if not 0.0 < fov_deg < 180.0:
        return RefinementFailed(
            f"the model saw a field of view of {fov_deg:.3g} degrees: give the camera's own in a "
            "list (columns focal_px or fov_deg)"
        )
    return 0.5 * width_px / math.tan(math.radians(fov_deg) / 2)


def _resized(image_bchw: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize bilinearly without antialiasing, as the checkpoint's own processor does."""
    return functional.interpolate(image_bchw, size=size_hw, mode="bilinear", align_corners=False)


def load_depth_pro(settings: Coarse, preset: CoarseModel, device: torch.device) -> DepthPro:
    """Load Depth Pro from the hub or a folder.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or see no field of view.
    """
    found = read_checkpoint(DepthProForDepthEstimation, settings, preset)
    with reading("Depth Pro", found.path):
        side_px = _side_px(found.path)
    if found.model.fov_model is None:
        raise ConfigError(
            f"{found.source} has no network for the field of view (use_fov_model): without one a "
            "photograph whose focal length is not known has no depth in metres"
        )
    return DepthPro(found.model, side_px, found.card, settings, preset, device)


def _side_px(folder: Path) -> int:
    settings = json.loads((folder / PROCESSOR_FILE).read_text(encoding="utf-8"))
    return int(settings["size"]["height"])
