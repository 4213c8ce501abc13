"""Where a sharp map and a metric one disagree, and latents that are noise there alone.

Source: SharpDepth, noise-aware gating.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field

from redepth.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

_TINY = 2.0**-126  # the smallest normal float32: equal maps divide by it


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


class Gating(Settings):
    """How the differences of a sharp and a metric map become a gate."""

    normaliser: GateNormaliser = Field(
        GateNormaliser.QUANTILE,
        description="difference that shuts the gate; max is the released rule",
    )
    quantile: float = Field(
        0.98, gt=0, le=1, description="of the differences that becomes 1, for quantile"
    )
    noise: GatedNoise = Field(
        GatedNoise.PURE, description="pure as published, or the noised sharp latent as released"
    )

    def gate(self, sharp_bhw: Tensor, metric_bhw: Tensor) -> Tensor:
        """Return the difference map, float32 [B, H, W] in [0, 1]; 0 where the two agree.

        Maps that are equal everywhere agree everywhere.
        """
        difference_bhw = (sharp_bhw - metric_bhw).abs()
        flat_bn = difference_bhw.flatten(1)
        if self.normaliser is GateNormaliser.MAX:
            whole_b = flat_bn.amax(dim=1)
        else:
            whole_b = flat_bn.quantile(self.quantile, dim=1)
        whole_b = whole_b.clamp(min=_TINY)
        return (difference_bhw / whole_b[:, None, None]).clamp(max=1.0)


def latent_gate(gate_bhw: Tensor, factor: int) -> Tensor:
    """Bring a gate to the latents' grid, [B, 1, H / factor, W / factor]: each latent takes the
    pixel at its upper left, as released.

    Args:
        gate_bhw: [B, H, W], sides multiples of `factor`.
    """
    return gate_bhw[:, None, ::factor, ::factor]


def blend(gate_b1hw: Tensor, noised_bchw: Tensor, metric_bchw: Tensor) -> Tensor:
    """Return gate * noised + (1 - gate) * metric, [B, C, h, w]."""
    return gate_b1hw * noised_bchw + (1.0 - gate_b1hw) * metric_bchw
