"""A UNet that takes several latents side by side, made from one that takes fewer."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from redepth.errors import ConfigError


def expand_input(unet: UNet2DConditionModel, num_channels: int) -> UNet2DConditionModel:
    """Widen the input convolution of a UNet to `num_channels`, in place, and return the UNet.

    The input is latents side by side, the noisy ones last; as many channels each as the output has.
    The weights of the last are repeated and divided by how often they are there, all others and the
    bias are kept. Hence the identity: shown copies of the noisy latents x in the new places, the
    wide UNet gives what the narrow one gives, up to rounding: wide(x, x, x) = narrow(x) from 4
    channels (Stable Diffusion), wide(picture, x, x) = narrow(picture, x) from 8 (Marigold).

    Raises:
        ConfigError: the new width is no multiple of the latents', or below the old one.

    Source: BetterDepth, and Marigold before it, for a text-to-image UNet.
    """
    narrow, size = unet.conv_in, int(unet.config.out_channels)
    if num_channels % size or narrow.in_channels % size or num_channels < narrow.in_channels:
        raise ConfigError(
            f"a UNet of {narrow.in_channels} input channels cannot be widened to {num_channels}: "
            f"expected multiples of its latents' {size}, and no fewer than it has"
        )
    if num_channels == narrow.in_channels:
        return unet
    copies = 1 + (num_channels - narrow.in_channels) // size
    wide = nn.Conv2d(
        num_channels,
        narrow.out_channels,
        narrow.kernel_size,
        narrow.stride,
        narrow.padding,
        device=narrow.weight.device,
        dtype=narrow.weight.dtype,
    )
    kept, noisy = narrow.weight[:, :-size], narrow.weight[:, -size:]
    with torch.no_grad():
        wide.weight.copy_(torch.cat((kept, noisy.repeat(1, copies, 1, 1) / copies), dim=1))
    wide.bias = narrow.bias
    unet.conv_in = wide
    unet.register_to_config(in_channels=num_channels)
    return unet
