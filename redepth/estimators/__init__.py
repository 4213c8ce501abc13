"""Monocular depth networks behind one Protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from redepth.config import Coarse
from redepth.presets import COARSE, Architecture
from redepth.types import ByteImage, CoarseDepth, DepthKind, ModelCard


@dataclass(frozen=True, slots=True, eq=False)
class TokenMaps:
    """The encoder's output for one image: what Re-Depth Anything optimises.

    Attributes:
        patch_tokens: 4 x float32 [1, N, C], after the encoder's final norm, no gradient history.
        class_tokens: 4 x float32 [1, 1, C]; stay fixed.
        grid_hw: (h, w) in patches, N = h * w.
    """

    patch_tokens: tuple[Tensor, ...]
    class_tokens: tuple[Tensor, ...]
    grid_hw: tuple[int, int]

    def __post_init__(self) -> None:
        num_patches = self.grid_hw[0] * self.grid_hw[1]
        for patches, klass in zip(self.patch_tokens, self.class_tokens, strict=True):
            if patches.shape[1] != num_patches or klass.shape[1] != 1:
                raise ValueError(
                    f"expected [1, {num_patches}, C] and [1, 1, C], "
                    f"got {tuple(patches.shape)} and {tuple(klass.shape)}"
                )


class DepthDecoder(Protocol):
    """What turns token maps into a map; a torch module with trainable weights of its own."""

    def __call__(
        self,
        patch_tokens: Sequence[Tensor],
        class_tokens: Sequence[Tensor],
        grid_hw: tuple[int, int],
    ) -> Tensor:
        """Return the raw map, float32 [B, H, W] >= 0, from patch tokens [B, N, C].

        Class tokens are [B, 1, C], or [1, 1, C] for all of the batch.
        """

    def parameters(self, recurse: bool = True) -> Iterator[torch.nn.Parameter]:
        """Return the weights, as `torch.nn.Module.parameters` does."""


class DepthEstimator(Protocol):
    """A frozen network that gives a coarse map.

    Attributes:
        card: what was loaded.
        kind: what the numbers of its maps mean.
    """

    card: ModelCard
    kind: DepthKind

    def processing_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Return (height, width) at which a picture of the given size is to be estimated."""

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        """Return the coarse map of a picture that is already at its processing size.

        Args:
            rgb_hw3: uint8 [H, W, 3], sRGB.
            focal_px: of the camera, in pixels of this picture's width; None if it is not known.
                A model that does not ask for it leaves it aside.
        """


class TokenDepthEstimator(DepthEstimator, Protocol):
    """An estimator whose coarse depth carries `TokenMaps`, and whose decoder can be had apart.

    Attributes:
        render_scale: s in the render depth z = (s + tanh o) / (raw + m).
        render_margin: m in the same formula.
    """

    render_scale: float
    render_margin: float

    def new_decoder(self) -> DepthDecoder:
        """Return a fresh copy of the checkpoint's decoder, its weights trainable."""


def load_estimator(settings: Coarse, device: torch.device) -> DepthEstimator:
    """Load the coarse model that a recipe names.

    Raises:
        ConfigError: the weights cannot be had, or are not what the preset stands for.
    """
    architecture = COARSE[settings.preset].architecture
    if architecture is Architecture.DPT:
        from redepth.estimators.dpt import load_dpt

        return load_dpt(settings, device)
    if architecture is Architecture.MARIGOLD:
        from redepth.estimators.marigold import load_marigold

        return load_marigold(settings, device)
    if architecture is Architecture.DEPTH_ANYTHING:
        return load_token_estimator(settings, device)
    return _load_metric_estimator(settings, architecture, device)


def _load_metric_estimator(
    settings: Coarse, architecture: Architecture, device: torch.device
) -> DepthEstimator:
    if architecture is Architecture.METRIC_DEPTH_ANYTHING:
        from redepth.estimators.metric_depth_anything import load_metric_depth_anything

        return load_metric_depth_anything(settings, device)
    if architecture is Architecture.DEPTH_PRO:
        from redepth.estimators.depth_pro import load_depth_pro

        return load_depth_pro(settings, device)
    if architecture is Architecture.ZOEDEPTH:
        from redepth.estimators.zoedepth import load_zoedepth

        return load_zoedepth(settings, device)
    from redepth.estimators.unidepth import load_unidepth

    return load_unidepth(settings, device)


def load_token_estimator(settings: Coarse, device: torch.device) -> TokenDepthEstimator:
    """Load a coarse model whose tokens can be optimised: a Depth Anything.

    Raises:
        ConfigError: as `load_estimator`.
    """
    from redepth.estimators.depth_anything import load_depth_anything

    return load_depth_anything(settings, device)
