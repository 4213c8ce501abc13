"""What brings a picture to the prior's latents, and lets a gradient back to the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from redepth.types import ModelCard

# A function of tensors, as torch.compile takes and gives it.
Network = Callable[..., Tensor]


def memory_format_on(device: torch.device) -> torch.memory_format:
    """Return how convolutions of half precision want their tensors: channels last on a GPU."""
    return torch.channels_last if device.type == "cuda" else torch.preserve_format


class PictureEncoder(Protocol):
    """A frozen encoder of square pictures, differentiable in the picture."""

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width) of one picture's latents."""
        ...

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """Return the cards of weights that are not the prior's own."""
        ...

    def encode(self, picture_b3hw: Tensor, posterior_noise_bchw: Tensor) -> Tensor:
        """Return latents in the UNet's scale, [B, *latent_shape], of the picture's dtype.

        Args:
            picture_b3hw: float [B, 3, side, side] in [-1, 1].
            posterior_noise_bchw: float [B, *latent_shape], standard normal; an encoder without a
                posterior leaves it aside.
        """
        ...


class PosteriorEncoder:
    """The encoder half of an AutoencoderKL: samples its posterior.

    Runs in the dtype it is given; what goes in and comes out keeps the picture's.
    """

    def __init__(
        self, vae: AutoencoderKL, size_px: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._memory_format = memory_format_on(device)
        placed = vae.to(device=device, dtype=dtype, memory_format=self._memory_format)
        self._vae = placed.eval().requires_grad_(False)
        self._dtype = dtype
        self._scaling_factor = float(vae.config.scaling_factor)
        side = size_px // 2 ** (len(vae.config.block_out_channels) - 1)
        self._latent_shape = (int(vae.config.latent_channels), side, side)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width): the picture's side over 2 for each block but one."""
        return self._latent_shape

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """Return none: the VAE is on the prior's card."""
        return ()

    def encode(self, picture_b3hw: Tensor, posterior_noise_bchw: Tensor) -> Tensor:
        """Return (mean + std * noise) * scaling_factor of the posterior."""
        placed = picture_b3hw.to(self._dtype, memory_format=self._memory_format)
        posterior = self._vae.encode(placed).latent_dist
        mean, std = (part.to(picture_b3hw.dtype) for part in (posterior.mean, posterior.std))
        latents: Tensor = mean + std * posterior_noise_bchw
        return latents * self._scaling_factor
