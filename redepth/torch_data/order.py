"""The order of an epoch, and who reads which part of it.

The order is one list for all processes, made from the labels, the seed and the epoch. It is cut
into runs of `batch_size` samples. Run i belongs to rank i mod R, and the j-th run of a rank to its
worker j mod W. A DataLoader takes batches from its workers in just this turn: with the same batch
size its batches are the runs in order, whatever the number of workers, and the batches of all ranks
taken in turn are those of a single process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shuffling:
    """How samples are mixed without reading them one by one.

    Groups of arrays are drawn in random order, `buffer_shards` at a time; their images are cut into
    blocks of up to `block_size` neighbours, which are mixed among all of these groups. Where the
    cuts fall is drawn anew each epoch, so that neighbours do not stay together for good.

    Attributes:
        seed: of all draws, together with the epoch.
        block_size: 1 mixes single images, each a request of its own to a storage.
        buffer_shards: groups that are mixed with one another.
    """

    seed: int = 0
    block_size: int = 4
    buffer_shards: int = 16

    def __post_init__(self) -> None:
        if min(self.block_size, self.buffer_shards) < 1:
            raise ValueError(f"expected block_size and buffer_shards of at least 1, got {self}")

    def order(self, groups: Positions, indices: Positions, epoch: int) -> Positions:
        """Return a permutation of the samples, the same for the same NumPy everywhere.

        Args:
            groups: number of each sample's array group, counted from 0, samples of one together.
            indices: its index there.
        """
        if not len(groups):
            return np.empty(0, dtype=np.int64)
        rng = np.random.default_rng([self.seed, epoch])
        window = rng.permutation(int(groups.max()) + 1) // self.buffer_shards
        is_cut = (indices + rng.integers(self.block_size)) % self.block_size == 0
        starts = np.flatnonzero(is_cut | ~_follows(groups, indices))
        chosen = np.lexsort((rng.random(len(starts)), window[groups[starts]]))
        lengths = np.diff(starts, append=len(groups))[chosen]
        offsets = np.arange(len(groups)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        order: Positions = np.repeat(starts[chosen], lengths) + offsets
        return order


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a reader among several: ranks of a distributed run, or workers of a DataLoader.

    Attributes:
        number: from 0.
        of: how many there are.

    Raises:
        ValueError: the number is not one of them.
    """

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise ValueError(f"expected a number below {self.of}, got {self.number}")


def cut_runs(order: Positions, batch_size: int, ranks: int = 1) -> list[Positions]:
    """Cut an order into runs, the last one perhaps shorter.

    Args:
        ranks: above 1, what does not give every rank the same number of whole runs is left out.
    """
    runs = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if ranks == 1:
        return runs
    num_whole = len(order) // batch_size
    return runs[: num_whole - num_whole % ranks]


def consecutive(groups: Positions, indices: Positions, positions: Positions) -> list[Positions]:
    """Cut positions where the next image does not lie behind the last one: a read each."""
    follows = _follows(groups[positions], indices[positions])
    return np.split(positions, np.flatnonzero(~follows)[1:]) if len(positions) else []


def numbered(names: Sequence[str]) -> Positions:
    """Number names in the order in which they first come."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def _follows(groups: Positions, indices: Positions) -> npt.NDArray[np.bool_]:
    """Say of every sample whether it lies right behind the one before it; the first does not."""
    behind = (np.diff(groups) == 0) & (np.diff(indices) == 1)
    return np.concatenate([[False], behind])
