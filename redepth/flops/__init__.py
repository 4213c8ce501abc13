"""Floating-point operations of networks: how many a picture costs, by its number of pixels.

A multiplication and an addition are two operations, as PyTorch's `FlopCounterMode` counts them:
matrix products, convolutions and attention. What it leaves out (norms, activations, resizing) is
little in these networks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# FLOPs by the name of the torch dtype that they are computed in.
Flops = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FlopCount:
    """FLOPs of one pass over a picture of p pixels: fixed + per_px p + per_px2 p^2.

    Convolutions grow with the pixels, attention over all of them with their square.
    """

    fixed: float
    per_px: float
    per_px2: float

    def at(self, num_px: int) -> float:
        """Return the FLOPs of one picture of so many pixels."""
        return self.fixed + self.per_px * num_px + self.per_px2 * num_px**2


@dataclass(frozen=True, slots=True)
class LatentFlops:
    """FLOPs of a latent diffusion model, by the pixels of the picture, not of the latents.

    Attributes:
        encode: the VAE's encoder, forward alone.
        unet: one evaluation.
        decode: the VAE's decoder, forward alone.
    """

    encode: FlopCount
    unet: FlopCount
    decode: FlopCount


@dataclass(frozen=True, slots=True)
class ImageWork:
    """What one image asks of the models.

    Attributes:
        height_px, width_px: at which it is processed.
        num_steps: an optimisation took; None: as many as the recipe says.
        refined_by: the method whose maps were taken, where the recipe has several; None: what the
            recipe expects of a usual image.
    """

    height_px: int
    width_px: int
    num_steps: int | None = None
    refined_by: str | None = None

    @property
    def num_px(self) -> int:
        return self.height_px * self.width_px


def no_flops(*_: object) -> Flops:
    """Say that a part computes nothing."""
    return {}


def add_flops(parts: Iterable[Flops]) -> Flops:
    """Add up FLOPs, each dtype for itself."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)
