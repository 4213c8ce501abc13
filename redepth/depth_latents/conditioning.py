"""A UNet that takes several latents side by side, made from one that takes fewer."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from redepth.errors import ConfigError


def expand_input(unet: UNet2DConditionModel, num_channels: int) -> UNet2DConditionModel:
    """Widen the input convolution of a UNet to `num_channels`, in place, and return the UNet.

    The weights are repeated n = num_channels / in_channels times along the input and divided by n,
    the bias is kept. Hence the identity: shown n copies of x side by side, the wide UNet gives what
    the narrow one gives for x, up to rounding.

    Raises:
        ConfigError: the new width is no multiple of the old one.

    Source: BetterDepth, and Marigold before it, for n = 3 and n = 2.
    """
    narrow = unet.conv_in
    copies, rest = divmod(num_channels, narrow.in_channels)
    if rest or not copies:
        raise ConfigError(
            f"a UNet of {narrow.in_channels} input channels cannot be widened to {num_channels}: "
            "expected a text-to-image UNet, or one that takes as many channels already"
        )
    if copies == 1:
        return unet
    wide = nn.Conv2d(
        num_channels,
        narrow.out_channels,
        narrow.kernel_size,
        narrow.stride,
        narrow.padding,
        device=narrow.weight.device,
        dtype=narrow.weight.dtype,
    )
    with torch.no_grad():
        wide.weight.copy_(narrow.weight.repeat(1, copies, 1, 1) / copies)
    wide.bias = narrow.bias
    unet.conv_in = wide
    unet.register_to_config(in_channels=num_channels)
    return unet
