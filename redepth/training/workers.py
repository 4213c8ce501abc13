"""Processes that train together, as `accelerate launch` starts them."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from redepth.training.loop import ALONE, Workers


def rank() -> int:
    """Return this process's number among those that `accelerate launch` started; 0 if alone."""
    return int(os.environ.get("RANK", "0"))


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
