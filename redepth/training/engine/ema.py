"""The running mean of a network's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ExponentialMovingAverage:
    """The mean decay * mean + (1 - decay) * weights, taken after each step."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._means = [p.detach().clone() for p in network.parameters()]

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take a step's weights in."""
        weights = [p.detach() for p in network.parameters()]
        torch._foreach_lerp_(self._means, weights, 1.0 - self._decay)

    @torch.no_grad()
    def copy_to(self, network: nn.Module) -> None:
        """Write the mean into the network."""
        for parameter, mean in zip(network.parameters(), self._means, strict=True):
            parameter.copy_(mean)

    def state(self) -> list[Tensor]:
        """Return the means, in the order of the network's parameters."""
        return self._means

    def load(self, means: list[Tensor]) -> None:
        """Go on from means that `state` returned."""
        for own, mean in zip(self._means, means, strict=True):
            own.copy_(mean)
