"""Pictures and depth maps to latents and back, through diffusers' own VAE."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional


class DepthCodec:
    """A frozen VAE for pictures and for maps, which it sees as grey pictures.

    Takes and gives float32. Latents are the posterior's mean times the VAE's scaling factor: no
    draw is needed to encode.

    Attributes:
        factor: how many pixels a latent is wide.
        num_channels: of the latents.
    """

    def __init__(self, vae: AutoencoderKL) -> None:
        self._vae = vae
        self._scaling_factor = float(vae.config.scaling_factor)
        self.factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self.num_channels = int(vae.config.latent_channels)

    @torch.no_grad()
    def encode(self, image_b3hw: Tensor) -> Tensor:
        """Return latents [B, C, H / factor, W / factor] of pictures in [-1, 1]."""
        mean: Tensor = self._vae.encode(image_b3hw.to(self._vae.dtype)).latent_dist.mean
        return mean.float() * self._scaling_factor

    def encode_maps(self, map_bhw: Tensor) -> Tensor:
        """Return latents of maps in about [-1, 1], each shown as three equal channels."""
        return self.encode(map_bhw[:, None].expand(-1, 3, -1, -1))

    def decode_maps(self, latents_bchw: Tensor) -> Tensor:
        """Return maps [B, H, W]: the mean over the three decoded channels. Keeps the gradient."""
        latents_bchw = (latents_bchw / self._scaling_factor).to(self._vae.dtype)
        decoded: Tensor = self._vae.decode(latents_bchw).sample
        return decoded.float().mean(dim=1)


def pad_to_multiple(maps_bchw: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples."""
    height, width = maps_bchw.shape[-2:]
    return functional.pad(maps_bchw, (0, -width % multiple, 0, -height % multiple), "replicate")
