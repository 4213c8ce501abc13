"""Monocular depth networks behind one Protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from redepth.coarse import coarse_models
from redepth.coarse.part import Coarse, Rendering
from redepth.geometry.sizes import TargetSize
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

    @property
    def processing_size(self) -> TargetSize:
        """What gives (height, width) at which a picture of the given size is to be estimated.

        A method will do. Decoders of their own (`run.actors.num_decoders`) are sent a pickle of it,
        so one that is a method of the network's is refused there: see `UpperBound`.
        """

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
        rendering: constants of the render depth.
    """

    rendering: Rendering

    def new_decoder(self) -> DepthDecoder:
        """Return a fresh copy of the checkpoint's decoder, its weights trainable."""


def load_estimator(settings: Coarse, device: torch.device) -> DepthEstimator:
    """Load the coarse model that a recipe names.

    Raises:
        ConfigError: the weights cannot be had, or are not what the preset stands for.
    """
    model = coarse_models[settings.preset]
    return model.load(settings, model, device)


def load_token_estimator(settings: Coarse, device: torch.device) -> TokenDepthEstimator:
    """Load a coarse model whose tokens can be optimised.

    Raises:
        ConfigError: as `load_estimator`.
        ValueError: the model has no rendering constants: its tokens are not to be had.
    """
    if coarse_models[settings.preset].rendering is None:
        raise ValueError(f"coarse.preset {settings.preset!r} gives no tokens")
    return cast("TokenDepthEstimator", load_estimator(settings, device))
