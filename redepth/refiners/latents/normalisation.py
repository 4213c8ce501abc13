"""Depth maps normalised to about [-1, 1], as a diffusion model sees them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

QUANTILES = 0.02, 0.98
# Of the median of |map|: a map that varies less has no range of its own.
_SMALLEST_RELATIVE_RANGE = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Normalisation:
    """What -1 and 1 stand for in each map of a batch: float32 [B] each, low < high."""

    low_b: Tensor
    high_b: Tensor

    def normalise(self, map_bhw: Tensor) -> Tensor:
        """Return normalised maps: low becomes -1, high becomes 1, nothing is clipped."""
        low_b11, high_b11 = self.low_b[:, None, None], self.high_b[:, None, None]
        return 2.0 * (map_bhw - low_b11) / (high_b11 - low_b11) - 1.0

    def denormalise(self, normalised_bhw: Tensor) -> Tensor:
        """Return maps in their own unit again."""
        low_b11, high_b11 = self.low_b[:, None, None], self.high_b[:, None, None]
        return low_b11 + (normalised_bhw + 1.0) / 2.0 * (high_b11 - low_b11)

    def repeated(self, count: int) -> Normalisation:
        """Return each map's, `count` times in a row: of its members."""
        return Normalisation(
            self.low_b.repeat_interleave(count), self.high_b.repeat_interleave(count)
        )


def minmax(map_bhw: Tensor) -> Normalisation:
    """Return the normalisation from each map's smallest to its largest value.

    A map without range gets one of a unit's width around it.

    Source: SharpDepth, min-max normalisation of metric depth.
    """
    low_b, high_b = map_bhw.flatten(1).aminmax(dim=1)
    flat_b = high_b <= low_b
    return Normalisation(
        torch.where(flat_b, low_b - 0.5, low_b), torch.where(flat_b, high_b + 0.5, high_b)
    )


def quantile_range(map_bhw: Tensor, valid_bhw: Tensor | None = None) -> Normalisation:
    """Return the normalisation from the 2 % to the 98 % quantile of each map's valid pixels.

    A map without range, or without a valid pixel, gets a tiny or unit width around it, in which it
    is 0: nothing divides by zero.

    Args:
        map_bhw: float32 [B, H, W].
        valid_bhw: bool [B, H, W]; all pixels if None.

    Source: Marigold, affine-invariant normalisation.
    """
    flat_bn = map_bhw.flatten(1).float()
    if valid_bhw is not None:
        flat_bn = flat_bn.masked_fill(~valid_bhw.flatten(1), torch.nan)
    share = torch.tensor(QUANTILES, device=flat_bn.device)
    low_b, high_b = torch.nanquantile(flat_bn, share, dim=1).nan_to_num(0.0)
    middle_b = (low_b + high_b) / 2.0
    least_b = torch.where(middle_b == 0, 1.0, middle_b.abs() * _SMALLEST_RELATIVE_RANGE)
    flat_b = high_b - low_b < least_b
    return Normalisation(
        torch.where(flat_b, middle_b - least_b, low_b),
        torch.where(flat_b, middle_b + least_b, high_b),
    )
