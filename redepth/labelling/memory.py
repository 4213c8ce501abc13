"""What running out of memory looks like, on the machine and on a GPU."""

from __future__ import annotations

import torch

_OF_THE_CPU_ALLOCATOR = "can't allocate memory"


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, by the error itself or by what it was raised from."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(error, RuntimeError) and _OF_THE_CPU_ALLOCATOR in str(error):
            return True
        error = error.__cause__
    return False
