"""Photographic scenes in chunks: rendered ahead by other processes, kept as files, read as a pool.

A chunk is a function of its number, so a training that is resumed, or begun again, finds the
chunks that are there and has the rest rendered.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from redepth.scenes.photographic import TRAINED, photograph
from redepth.scenes.photographic.builder import Style
from redepth.scenes.scene import Split

# Scenes of each family in a chunk. Most photographs with things in them are taken indoors.
SHARES = {
    "room": 20, "desk": 14, "corridor": 3, "street": 7, "country": 5, "portrait": 5, "table_top": 5,
    "close_up": 5,
}  # fmt: skip
SCENES_A_CHUNK = sum(SHARES.values())


@dataclass(frozen=True, slots=True, eq=False)
class Photographs:
    """Rendered scenes.

    Attributes:
        rgb_n3hw: uint8 [N, 3, H, W].
        disparity_nhw: float16 [N, H, W] >= 0, 1 / m.
    """

    rgb_n3hw: Tensor
    disparity_nhw: Tensor


def render_chunk(number: int, split: Split = Split.TRAIN, style: Style = TRAINED) -> Photographs:
    """Render the scenes of a chunk: `SHARES` of each family, seeds from the chunk's number on."""
    scenes = [
        photograph(family, number * count + index, split, style)
        for family, count in SHARES.items()
        for index in range(count)
    ]
    rgb_nhw3 = np.stack([scene.rgb_hw3 for scene in scenes])
    disparity_nhw = np.stack([scene.disparity_hw for scene in scenes]).astype(np.float16)
    rgb_n3hw = torch.from_numpy(rgb_nhw3).permute(0, 3, 1, 2).contiguous()
    return Photographs(rgb_n3hw, torch.from_numpy(disparity_nhw))


def write_chunk(folder: Path, number: int) -> Path:
    """Render a chunk into a file, unless it is there; return its path."""
    path = folder / f"{number:05d}.npz"
    if not path.exists():
        chunk = render_chunk(number)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, rgb=chunk.rgb_n3hw.numpy(), disparity=chunk.disparity_nhw.numpy())
        part.rename(path)
    return path


def read_chunk(path: Path) -> Photographs:
    """Read what `write_chunk` wrote."""
    with np.load(path) as arrays:
        return Photographs(torch.from_numpy(arrays["rgb"]), torch.from_numpy(arrays["disparity"]))


class Chunks(Protocol):
    """Chunks in their order."""

    def first(self, count: int) -> list[Photographs]:
        """Return the first chunks; waits for those that are not rendered yet."""


@dataclass(slots=True)
class ChunksAhead:
    """Chunks in their order, each held once it was asked for."""

    coming: list[Future[Path]]
    held: list[Photographs] = field(default_factory=list)

    def first(self, count: int) -> list[Photographs]:
        """See `Chunks`."""
        while len(self.held) < count:
            self.held.append(read_chunk(self.coming[len(self.held)].result()))
        return self.held[:count]


@contextmanager
def rendering_ahead(folder: Path, num_chunks: int, num_processes: int) -> Iterator[ChunksAhead]:
    """Render chunks in other processes while their first ones are used.

    Args:
        folder: gets a file a chunk; those that are there are not rendered again.
        num_processes: that render; the chunks do not depend on it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")  # a forked copy of torch's threads hangs
    with ProcessPoolExecutor(num_processes, context) as pool:
        try:
            yield ChunksAhead(
                [pool.submit(partial(write_chunk, folder), number) for number in range(num_chunks)]
            )
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
