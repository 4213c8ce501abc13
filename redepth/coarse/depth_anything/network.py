"""Depth Anything V2 through transformers, with encoder and decoder apart.

Position embeddings: for an image that is not as large as the training images, transformers resizes
them with `size=` the patch grid; the authors' own code passes `scale_factor=(n + 0.1) / 37`, which
samples at slightly other places. The two agree at 518 x 518 alone. This project follows
transformers: the checkpoints on the hub are published and used through it, so a label made here is
the one that anybody gets from those weights.

Source: Depth Anything V2, https://arxiv.org/abs/2406.09414.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import DepthAnythingForDepthEstimation

from redepth.coarse.batches import EstimateOutcome, only
from redepth.coarse.checkpoint import read_checkpoint
from redepth.coarse.depth_anything.mini import build_mini_depth_anything
from redepth.coarse.estimator import TokenMaps
from redepth.coarse.part import Coarse, CoarseModel
from redepth.coarse.pictures import split_maps, stack_pictures
from redepth.errors import ConfigError
from redepth.geometry.sizes import UpperBound
from redepth.settings import HubWeights
from redepth.types import ByteImage, CoarseDepth, ModelCard
from redepth.weights import (
    seeded_card,
    seeds_are_for_mini,
)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class DepthAnythingDecoder(nn.Module):
    """Neck and head of a checkpoint: token maps in, raw map out. Copies what it is given."""

    def __init__(self, neck: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.neck = deepcopy(neck)
        self.head = deepcopy(head)

    def forward(
        self,
        patch_tokens: Sequence[Tensor],
        class_tokens: Sequence[Tensor],
        grid_hw: tuple[int, int],
    ) -> Tensor:
        """Return the raw map, float32 [B, H, W] >= 0, H = patch size * grid height.

        Args:
            patch_tokens: 4 x float32 [B, N, C].
            class_tokens: 4 x float32 [B or 1, 1, C].
            grid_hw: (h, w), N = h * w.
        """
        hidden_states = [
            torch.cat([klass.expand(len(patches), -1, -1), patches], dim=1)
            for patches, klass in zip(patch_tokens, class_tokens, strict=True)
        ]
        fused = self.neck(hidden_states, *grid_hw)
        raw: Tensor = self.head(fused, *grid_hw)
        return raw


class DepthAnything:
    """A Depth Anything V2 checkpoint for relative depth: a `TokenDepthEstimator`.

    Runs in float32. Weights are frozen; `new_decoder` gives trainable copies.
    """

    def __init__(
        self,
        model: DepthAnythingForDepthEstimation,
        card: ModelCard,
        preset: CoarseModel,
        size_px: int,
        device: torch.device,
    ) -> None:
        self.card = card
        self.kind = preset.kind
        rendering = preset.rendering
        if rendering is None:
            raise ValueError(f"{preset.name} states no constants of the render depth")
        self.rendering = rendering
        self._patch_px = int(model.config.patch_size)
        self.processing_size = UpperBound(size_px, self._patch_px)
        self._device = device
        model = model.to(device=device, dtype=torch.float32).eval().requires_grad_(False)
        self._backbone = model.backbone
        self._decoder = DepthAnythingDecoder(model.neck, model.head)
        self._mean = torch.tensor(IMAGENET_MEAN, device=device).view(3, 1, 1)
        self._std = torch.tensor(IMAGENET_STD, device=device).view(3, 1, 1)

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        """Return the coarse map and the token maps it was decoded from.

        Args:
            rgb_hw3: uint8 [H, W, 3], both sides multiples of the patch size.
            focal_px: is ignored.

        Returns:
            Map float32 [H, W] >= 0; features are `TokenMaps` on the model's device.

        Raises:
            ValueError: a side is not a multiple of the patch size.
        """
        return only(self.estimate_batch([rgb_hw3], [focal_px]))

    def estimate_batch(
        self, rgbs_hw3: Sequence[ByteImage], focals_px: Sequence[float | None]
    ) -> list[EstimateOutcome]:
        """Return what `estimate` would of each picture; see `BatchEstimator`.

        Raises:
            ValueError: a side is not a multiple of the patch size.
        """
        grid_hw = self._grid(rgbs_hw3[0])
        with torch.inference_mode():
            shown = (stack_pictures(rgbs_hw3, self._device) - self._mean) / self._std
            feature_maps = self._backbone(shown).feature_maps
            patches, classes = [f[:, 1:] for f in feature_maps], [f[:, :1] for f in feature_maps]
            maps = split_maps(self._decoder(patches, classes, grid_hw))
        return [
            CoarseDepth(map_hw, self.kind, features=_tokens(feature_maps, number, grid_hw))
            for number, map_hw in enumerate(maps)
        ]

    def new_decoder(self) -> DepthAnythingDecoder:
        """Return a fresh copy of the checkpoint's neck and head, weights trainable."""
        return deepcopy(self._decoder).requires_grad_(True)

    def _grid(self, rgb_hw3: ByteImage) -> tuple[int, int]:
        """Return (height, width) in patches."""
        height_px, width_px, _ = rgb_hw3.shape
        if height_px % self._patch_px or width_px % self._patch_px:
            raise ValueError(
                f"expected sides that are multiples of {self._patch_px} (see processing_size), "
                f"got {height_px} x {width_px}"
            )
        return height_px // self._patch_px, width_px // self._patch_px


def _tokens(feature_maps: Sequence[Tensor], number: int, grid_hw: tuple[int, int]) -> TokenMaps:
    """Return the tokens of one image of a batch.

    Clones: a view would keep the encoder's whole output alive with every image. Made outside
    inference mode, they may be saved for a backward pass.
    """
    own = slice(number, number + 1)
    return TokenMaps(
        patch_tokens=tuple(tokens[own, 1:].clone() for tokens in feature_maps),
        class_tokens=tuple(tokens[own, :1].clone() for tokens in feature_maps),
        grid_hw=grid_hw,
    )


def load_depth_anything(
    settings: Coarse, preset: CoarseModel, device: torch.device
) -> DepthAnything:
    """Load Depth Anything V2 from the hub, a folder, or (mini alone) a seed.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are not a relative-depth model.
    """
    seed = settings.weights.seed
    if seed is None:
        model, card = read_depth_anything(settings, preset, "relative")
    else:
        model, card = _make(settings, preset, seed)
    return DepthAnything(model, card, preset, settings.size_px, device)


def read_depth_anything(
    settings: Coarse, preset: CoarseModel, expected: Literal["relative", "metric"]
) -> tuple[DepthAnythingForDepthEstimation, ModelCard]:
    """Read a checkpoint of the stated `depth_estimation_type` from the hub or a folder.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are of the other type.
    """
    read = read_checkpoint(DepthAnythingForDepthEstimation, settings, preset, also=())
    found = read.model.config.depth_estimation_type
    if found != expected:
        meaning = {"relative": "affine-invariant disparity", "metric": "depth in metres"}[expected]
        raise ConfigError(
            f"{read.source} predicts {found} depth; the preset {settings.preset!r} stands for "
            f"{meaning} (depth_estimation_type {expected!r})"
        )
    return read.model, read.card


def _make(
    settings: Coarse, preset: CoarseModel, seed: int
) -> tuple[DepthAnythingForDepthEstimation, ModelCard]:
    if isinstance(preset.weights, HubWeights):
        raise seeds_are_for_mini(settings.preset)
    model = build_mini_depth_anything(seed)
    return model, seeded_card("coarse", settings.preset, seed, model.state_dict())
