"""Depth Anything V2 for metres: the network of the relative model under a sigmoid head.

Depth is max_depth * sigmoid(head), z-depth in metres. The focal length is ignored: the model
answers as if the picture came from the cameras it was trained on (docs/metric-depth.md).

Source: Depth Anything V2, https://arxiv.org/abs/2406.09414, section on metric depth.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import DepthAnythingForDepthEstimation

from redepth.coarse.batches import EstimateOutcome, only
from redepth.coarse.depth_anything.mini import build_mini_metric
from redepth.coarse.depth_anything.network import IMAGENET_MEAN, IMAGENET_STD, read_depth_anything
from redepth.coarse.far_limit import far_limit_m
from redepth.coarse.part import Coarse, CoarseModel
from redepth.coarse.pictures import split_maps, stack_pictures
from redepth.geometry.sizes import UpperBound
from redepth.settings import HubWeights
from redepth.types import ByteImage, CoarseDepth, DepthKind, ModelCard
from redepth.weights import seeded_card, seeds_are_for_mini


class MetricDepthAnything:
    """A Depth Anything V2 checkpoint for metres: a `DepthEstimator`. Float32, weights frozen."""

    kind = DepthKind.METRIC_DEPTH

    def __init__(
        self,
        model: DepthAnythingForDepthEstimation,
        card: ModelCard,
        settings: Coarse,
        preset: CoarseModel,
        device: torch.device,
    ) -> None:
        """Take a loaded model.

        Raises:
            ConfigError: the recipe's far limit lies beyond the model's own end.
        """
        self.card = card
        self._far_limit_m = far_limit_m(settings, preset, float(model.config.max_depth))
        self.processing_size = UpperBound(settings.size_px, int(model.config.patch_size))
        self._device = device
        self._model = model.to(device=device, dtype=torch.float32).eval().requires_grad_(False)
        self._mean, self._std = (
            torch.tensor(values, device=device).view(3, 1, 1)
            for values in (IMAGENET_MEAN, IMAGENET_STD)
        )

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        """Return the coarse map in metres; `focal_px` changes nothing in it.

        Args:
            rgb_hw3: uint8 [H, W, 3], both sides multiples of the patch size.
        """
        return only(self.estimate_batch([rgb_hw3], [focal_px]))

    @torch.inference_mode()
    def estimate_batch(
        self, rgbs_hw3: Sequence[ByteImage], focals_px: Sequence[float | None]
    ) -> list[EstimateOutcome]:
        """Return what `estimate` would of each picture; see `BatchEstimator`."""
        shown = (stack_pictures(rgbs_hw3, self._device) - self._mean) / self._std
        maps = split_maps(self._model(shown).predicted_depth)
        return [CoarseDepth(map_hw, self.kind, far_limit_m=self._far_limit_m) for map_hw in maps]


def load_metric_depth_anything(
    settings: Coarse, preset: CoarseModel, device: torch.device
) -> MetricDepthAnything:
    """Load Depth Anything V2 for metres from the hub, a folder, or (mini alone) a seed.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are of the relative model.
    """
    if settings.weights.seed is None:
        model, card = read_depth_anything(settings, preset, "metric")
    else:
        model, card = _make(settings, preset, settings.weights.seed)
    return MetricDepthAnything(model, card, settings, preset, device)


def _make(
    settings: Coarse, preset: CoarseModel, seed: int
) -> tuple[DepthAnythingForDepthEstimation, ModelCard]:
    if isinstance(preset.weights, HubWeights):
        raise seeds_are_for_mini(settings.preset)
    model = build_mini_metric(seed)
    return model, seeded_card("coarse", settings.preset, seed, model.state_dict())
