"""Pictures as one stack on the device, and the maps of a stack as arrays of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from redepth.types import ByteImage, FloatMap


def stack_pictures(rgbs_hw3: Sequence[ByteImage], device: torch.device) -> Tensor:
    """Return pictures of one size as float32 [B, 3, H, W] in [0, 1]; bytes are what is sent."""
    stacked_bhw3 = torch.from_numpy(np.stack(rgbs_hw3)).to(device)
    return stacked_bhw3.permute(0, 3, 1, 2) / 255.0


def split_maps(maps_bhw: Tensor) -> list[FloatMap]:
    """Return each map of a stack as float32 [H, W] on the CPU, in one copy from the device.

    No array is a view of the stack: one that is kept does not keep its neighbours.
    """
    return [np.array(map_hw, dtype=np.float32) for map_hw in maps_bhw.cpu().numpy()]
