"""Least-squares alignment of batches of maps, on the device where they are."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_CORRELATION = 0.1


def align(source_bhw: Tensor, target_bhw: Tensor, valid_bhw: Tensor) -> tuple[Tensor, Tensor]:
    """Bring each map to its target by least-squares scale and shift over the valid pixels.

    Returns:
        The aligned maps [B, H, W], and bool [B]: whether source and target rise together. Where
        they do not, the map comes back as it was.
    """
    weight = valid_bhw.double()
    count_b = weight.sum(dim=(1, 2)).clamp(min=1.0)
    source, target = source_bhw.double(), target_bhw.double().masked_fill(~valid_bhw, 0.0)

    def mean(values_bhw: Tensor) -> Tensor:
        return (values_bhw * weight).sum(dim=(1, 2)) / count_b

    source_mean_b, target_mean_b = mean(source), mean(target)
    source_off = source - source_mean_b[:, None, None]
    target_off = target - target_mean_b[:, None, None]
    tiny = torch.finfo(torch.float32).tiny
    source_var_b, target_var_b = mean(source_off**2), mean(target_off**2)
    covariance_b = mean(source_off * target_off)
    correlation_b = covariance_b / (source_var_b * target_var_b).clamp(min=tiny).sqrt()
    rises_b = correlation_b >= LEAST_CORRELATION
    scale_b = torch.where(rises_b, covariance_b / source_var_b.clamp(min=tiny), 1.0)
    shift_b = torch.where(rises_b, target_mean_b - scale_b * source_mean_b, 0.0)
    aligned = source * scale_b[:, None, None] + shift_b[:, None, None]
    return aligned.float(), rises_b
