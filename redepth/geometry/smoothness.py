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
    stencil = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    kernel = stencil.to(raw_bhw)[None, None]
    laplacian = functional.conv2d(normalised.unsqueeze(1), kernel, padding=1)
    return laplacian.abs().flatten(1).mean(dim=1)
