"""Coarse maps made from the truth: what a refiner must undo, whichever network erred."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from redepth.training.betterdepth.settings import CoarseErrors
from redepth.training.draws import Draws


def make_coarse(truth_bhw: Tensor, network_bhw: Tensor, how: CoarseErrors, draws: Draws) -> Tensor:
    """Return a coarse map for each truth: degraded, the network's, or between network and truth.

    Args:
        network_bhw: a network's maps, already brought to the truth's scale and shift.
    """
    kind_b, blend_b, part_b = draws.uniform(3, len(truth_bhw))
    part_b = how.least_blend + (1.0 - how.least_blend) * part_b
    part_b = torch.where(blend_b < how.blend_share, part_b, 1.0)
    blended = truth_bhw + part_b[:, None, None] * (network_bhw - truth_bhw)
    degraded = degrade(truth_bhw, draws)
    return torch.where((kind_b < how.degraded_share)[:, None, None], degraded, blended)


def degrade(truth_bhw: Tensor, draws: Draws) -> Tensor:
    """Make maps worse as networks do: blurred (7 in 10), bent (1 in 2), warped by noise (7 in 10).

    Blurred to 5 to 24 cells a side; bent by a power of 0.6 to 1.6 of its range; smooth noise of up
    to 0.35 standard deviations in 3 to 12 waves.
    """
    blur_b, bend_b, warp_b, power_b, strength_b = draws.uniform(5, len(truth_bhw))
    mean = truth_bhw.mean(dim=(1, 2), keepdim=True)
    std = truth_bhw.std(dim=(1, 2), keepdim=True)
    blurred = _blurred(truth_bhw, draws)
    map_bhw = torch.where((blur_b < 0.7)[:, None, None], blurred, truth_bhw)
    low, high = (bound[:, None, None] for bound in torch.aminmax(map_bhw.flatten(1), dim=1))
    span = (high - low).clamp(min=1e-6)
    power = torch.exp2(1.4 * power_b - 0.7)[:, None, None]
    bent = low + span * ((map_bhw - low) / span).clamp(min=1e-4) ** power
    map_bhw = torch.where((bend_b < 0.5)[:, None, None], bent, map_bhw)
    noise = smooth_noise(truth_bhw.shape, draws) * std
    amount_b = torch.where(warp_b < 0.7, 0.35 * strength_b, 0.0)
    return mean + (map_bhw - mean) + amount_b[:, None, None] * noise


def smooth_noise(shape_bhw: torch.Size, draws: Draws) -> Tensor:
    """Return noise of unit variance, 3 to 12 waves across, one number of waves a batch."""
    count, height, width = shape_bhw
    cells = draws.integer(3, 12)
    small = draws.normal(count, 1, cells, cells)
    large = _enlarged(small, height, width)
    return large / large.std(dim=(1, 2), keepdim=True).clamp(min=1e-6)


def _blurred(map_bhw: Tensor, draws: Draws) -> Tensor:
    """Blur to few cells, another number in each quarter of the batch."""
    height, width = map_bhw.shape[-2:]
    quarters = []
    for quarter in map_bhw.chunk(4):
        cells = draws.integer(5, 24)
        small = functional.adaptive_avg_pool2d(quarter[:, None], cells)
        quarters.append(_enlarged(small, height, width))
    return torch.cat(quarters)


def _enlarged(small_b1hw: Tensor, height: int, width: int) -> Tensor:
    size = (height, width)
    large = functional.interpolate(small_b1hw, size=size, mode="bicubic", align_corners=False)
    return large[:, 0]
