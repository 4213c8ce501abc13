"""Where a sharp map and a metric one disagree, and latents that are noise there alone.

Source: SharpDepth, noise-aware gating.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor


class GateNormaliser(StrEnum):
    """What a difference of 1 stands for.

    MAX: the image's largest difference, as released: one stray pixel weakens the gate everywhere.
    QUANTILE: a quantile of the image's differences; what is above it counts as 1.
    """

    MAX = "max"
    QUANTILE = "quantile"


class GatedNoise(StrEnum):
    """What the gate lets in. PURE: noise, as published. LATENT: the noised sharp latents."""

    PURE = "pure"
    LATENT = "latent"


@dataclass(frozen=True, slots=True)
class Gating:
    """How differences become a gate.

    Attributes:
        normaliser: see `GateNormaliser`.
        quantile: of the differences that becomes 1; read for QUANTILE alone.
        noise: see `GatedNoise`.
    """

    normaliser: GateNormaliser = GateNormaliser.QUANTILE
    quantile: float = 0.98
    noise: GatedNoise = GatedNoise.PURE

    def gate(self, sharp_bhw: Tensor, metric_bhw: Tensor) -> Tensor:
        """Return the difference map, float32 [B, H, W] in [0, 1]; 0 where the two agree.

        Maps that are equal everywhere agree everywhere.
        """
        difference_bhw = (sharp_bhw - metric_bhw).abs()
        flat_bn = difference_bhw.flatten(1)
        if self.normaliser is GateNormaliser.MAX:
            whole_b = flat_bn.amax(dim=1)
        else:
            whole_b = torch.quantile(flat_bn, self.quantile, dim=1)
        whole_b = whole_b.clamp(min=torch.finfo(torch.float32).tiny)
        return (difference_bhw / whole_b[:, None, None]).clamp(max=1.0)


def latent_gate(gate_bhw: Tensor, factor: int) -> Tensor:
    """Bring a gate to the latents' grid, [B, 1, H / factor, W / factor]: each latent takes the
    pixel at its upper left, as released.

    Args:
        gate_bhw: [B, H, W], sides multiples of `factor`.
    """
    return gate_bhw[:, None, ::factor, ::factor]


def mix(gate_b1hw: Tensor, noised_bchw: Tensor, metric_bchw: Tensor) -> Tensor:
    """Return gate * noised + (1 - gate) * metric, [B, C, h, w]."""
    return gate_b1hw * noised_bchw + (1.0 - gate_b1hw) * metric_bchw
