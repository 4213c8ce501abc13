"""Processes that train together, as `accelerate launch` starts them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Workers:
    """Processes that train one network together: each draws for itself, gradients are averaged.

    Attributes:
        rank: of this process; the first one writes the checkpoints.
        count: of all.
        mean: of a tensor over the processes.
    """

    rank: int = 0
    count: int = 1
    mean: Callable[[Tensor], Tensor] = lambda tensor: tensor


ALONE = Workers()


def join_workers(device: torch.device) -> tuple[Workers, torch.device]:
    """Meet the other processes, if there are any; return them and this one's device."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return ALONE, device
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=device.type == "cpu")

    def mean(tensor: Tensor) -> Tensor:
        averaged: Tensor = accelerator.reduce(tensor, "mean")
        return averaged

    return Workers(accelerator.process_index, accelerator.num_processes, mean), accelerator.device
