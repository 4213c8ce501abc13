"""The smoothness term on a predicted map."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

RANGE_EPSILON = 1e-8


def smoothness(raw_bhw: Tensor) -> Tensor:
    """Return mean |5-point Laplacian| of each min-max normalised map, shape [B].

    Minimum and maximum are detached; the stencil sees zeros outside the map.

    Source: Re-Depth Anything, smoothness regulariser.
    """
    low = raw_bhw.detach().amin(dim=(1, 2), keepdim=True)
    high = raw_bhw.detach().amax(dim=(1, 2), keepdim=True)
    normalised = (raw_bhw - low) / (high - low + RANGE_EPSILON)
    laplacian = functional.conv2d(normalised.unsqueeze(1), _stencil(raw_bhw), padding=1)
    return laplacian.abs().flatten(1).mean(dim=1)


def _stencil(like: Tensor) -> Tensor:
    """Return [[0, 1, 0], [1, -4, 1], [0, 1, 0]], [1, 1, 3, 3], made on the device itself.

    A tensor made of numbers on the host would be waited for in every step of an optimisation.
    """
    distance = torch.arange(3, device=like.device, dtype=like.dtype) - 1.0
    squared = distance[:, None] ** 2 + distance[None, :] ** 2  # 2, 1, 2 / 1, 0, 1 / 2, 1, 2
    neighbours = (squared == 1).to(like.dtype)
    return (neighbours - 4.0 * (squared == 0).to(like.dtype))[None, None]
