"""Processes that train together, as `accelerate launch` starts them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def joined_workers(device: torch.device) -> Iterator[tuple[Workers, torch.device]]:
    """Meet the other processes, if there are any; give them and this one's device, then leave.

    A process that ends without leaving can be aborted by its own communication threads. Leaving
    ends them only where nothing holds the group: torch._dynamo, which a first optimiser imports,
    keeps a group that is there when it is imported, so it is imported before.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        yield ALONE, device
        return
    importlib.import_module("torch._dynamo")
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=device.type == "cpu")

    def mean(tensor: Tensor) -> Tensor:
        averaged: Tensor = accelerator.reduce(tensor, "mean")
        return averaged

    workers = Workers(accelerator.process_index, accelerator.num_processes, mean)
    try:
        yield workers, accelerator.device
    finally:
        accelerator.end_training()
