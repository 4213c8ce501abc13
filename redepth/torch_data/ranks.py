"""Which part of an epoch this process reads, and whether somebody deals it out once more."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from torch import distributed

from redepth.errors import ConfigError
from redepth.torch_data.order import Share


def is_distributed() -> bool:
    """Whether torch.distributed knows the rank of this process."""
    return distributed.is_available() and distributed.is_initialized()


def share_here() -> Share:
    """Return this process's rank: that of torch.distributed, else of torchrun's environment.

    Raises:
        ConfigError: the environment speaks of several processes, and not of this one's rank.
    """
    if is_distributed():
        return Share(distributed.get_rank(), distributed.get_world_size())
    rank, num_ranks = os.environ.get("RANK"), int(os.environ.get("WORLD_SIZE", "1"))
    if rank is None and num_ranks > 1:
        raise ConfigError(
            f"WORLD_SIZE is {num_ranks}, and RANK is not set: which part of the labels is this "
            "process's is not known before torch.distributed is initialised. Begin an epoch after "
            "that, or give LabelDataset(..., share=Share(rank, num_ranks))"
        )
    return Share(int(rank or "0"), num_ranks)


def require_dealt_once(dataset: object, share: Share) -> None:
    """Refuse to let accelerate deal out to the ranks what is one rank's share already.

    Raises:
        ConfigError: a DataLoader of `dataset` that went through `prepare` is being read.
    """
    if share.of == 1:
        return
    for loader in _prepared_loaders():
        read = loader.dataset
        if read is dataset or getattr(read, "dataset", None) is dataset:
            raise ConfigError(
                "this DataLoader went through accelerate's prepare (the Trainer of transformers "
                f"does that too), which deals samples to the {share.of} ranks. LabelDataset has "
                f"done so already: only one label in {share.of} would be read. Give "
                "LabelDataset(..., share=Share()), or LabelMaps in its place, or leave the "
                "DataLoader out of prepare"
            )


def _prepared_loaders() -> Iterator[Any]:
    """Yield the DataLoaders of accelerate that are being read, if accelerate is in use."""
    state = sys.modules.get("accelerate.state")
    if state is not None:
        loaders = getattr(state.GradientState(), "dataloader_references", ())
        yield from (loader for loader in loaders if loader is not None)
