"""Noise of several resolutions, annealed towards plain noise as the timestep falls."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from redepth.training.draws import Draws


def annealed_noise(
    shape_bchw: torch.Size, share_b: Tensor, strength: float, draws: Draws
) -> Tensor:
    """Draw noise of unit variance, [B, C, H, W].

    To white noise are added, for i = 1, 2, ..., maps of white noise that are 2..4 times smaller
    each time and are enlarged (bilinear), times (strength * share)^i, until a map would have one
    pixel; each noise is then divided by its own standard deviation.

    Args:
        share_b: t / T of each sample, in [0, 1].
        strength: 0 gives plain noise.

    Source: Marigold, annealed multi-resolution noise.
    """
    count, channels, height, width = shape_bchw
    noise = draws.normal(*shape_bchw)
    if strength == 0:
        return noise
    weight_b111 = (strength * share_b)[:, None, None, None]
    level, small_height, small_width = 1, height, width
    while min(small_height, small_width) > 1:
        shrink = 2.0 + 2.0 * float(torch.rand((), generator=draws.host))
        small_height, small_width = int(small_height / shrink), int(small_width / shrink)
        size = (max(small_height, 1), max(small_width, 1))
        small = draws.normal(count, channels, *size)
        large = functional.interpolate(small, size=(height, width), mode="bilinear")
        noise = noise + weight_b111**level * large
        level += 1
    return noise / noise.std(dim=(1, 2, 3), keepdim=True)
