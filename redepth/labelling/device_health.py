"""Whether a GPU still works for this process."""

from __future__ import annotations

import torch

from redepth.errors import DeviceLost


def require_device(device: str) -> None:
    """Return if the device takes work, given as rows name it: "cuda: NVIDIA H200".

    After some faults (an assertion in a kernel, an illegal address) every later call fails too.

    Raises:
        DeviceLost: it does not.
    """
    if not device.startswith("cuda"):
        return
    try:
        torch.cuda.synchronize()
    except RuntimeError as error:
        raise DeviceLost(f"the GPU takes no more work from this process: {error}") from error


def free_device_memory() -> None:
    """Give back what torch holds of a GPU's memory for later: pieces of it may be of no use."""
    torch.cuda.empty_cache()  # nothing where no GPU was used
