"""From the positions of labels to samples: neighbours in one read, reads side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from redepth.images.decode import read_image, resize
from redepth.loading.order import Positions, consecutive, numbered
from redepth.quantities import AnyMap
from redepth.store.reader import Labels
from redepth.types import ImageRef, LabelRow

Sample = dict[str, Any]
ImageType = Literal["uint8", "float32"]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a sample holds beside `id` and `kind`.

    Attributes:
        quantities: of those that the labels hold: float32 [H, W], or [C, H, W] of one with
            channels; uint8 of codes.
        images: "uint8" or "float32" adds `image` [3, H, W], in 0..255 or [0, 1]; None does not.
        resize_images: to the label's size; else the photograph's own.
    """

    quantities: tuple[str, ...]
    images: ImageType | None
    resize_images: bool


class SampleReader:
    """Reads samples by the positions of their labels, in any process it is taken to.

    Raises:
        ConfigError: the labels do not hold one of the quantities, or none is asked for.
    """

    def __init__(self, labels: Labels, contents: Contents) -> None:
        labels.require_quantities(contents.quantities)
        self._labels = labels.with_maps()
        self._contents = contents
        self._decoding = labels.dataset.recorded.decoding
        places = self._labels.table(["array_group", "array_index"])
        self.groups = numbered(places["array_group"].to_pylist())
        self.indices = places["array_index"].to_numpy().astype(np.int64)
        self._pid = os.getpid()
        self._inherited: list[Labels] = []

    def __len__(self) -> int:
        return len(self.groups)

    def read(self, positions: Positions, executor: Executor) -> list[Sample]:
        """Read samples in the order of their positions.

        Raises:
            ImageRejected: a photograph is wanted and not there any more.
            IntegrityError: pixels are not those of their row.
        """
        labels = self._labels_here()
        rows = dict(zip(positions.tolist(), labels.rows(positions.tolist()), strict=True))
        samples = {at: Sample(id=row.id, kind=str(row.kind)) for at, row in rows.items()}
        runs = consecutive(self.groups, self.indices, positions)
        jobs = [(run.tolist(), name) for run in runs for name in self._contents.quantities]
        pending = [
            executor.submit(labels.read_run, [rows[at] for at in run], name) for run, name in jobs
        ]
        images = {} if self._contents.images is None else rows
        decoded = {at: executor.submit(self._image, row) for at, row in images.items()}
        for (run, name), maps in zip(jobs, pending, strict=True):
            _distribute(samples, run, name, maps.result())
        for at, image in decoded.items():
            samples[at]["image"] = image.result()
        return list(samples.values())

    def _labels_here(self) -> Labels:
        """Connections to a storage do not survive a fork: open anew in another process."""
        if self._pid != os.getpid():
            # Kept: let go of, they are closed, and they are the other process's to close.
            self._inherited.append(self._labels)
            self._labels, self._pid = self._labels.reopened(), os.getpid()
        return self._labels

    def _image(self, row: LabelRow) -> torch.Tensor:
        rgb_hw3 = read_image(ImageRef(row.id, row.uri), self._decoding).rgb_hw3
        if self._contents.resize_images:
            rgb_hw3 = resize(rgb_hw3, row.height_px or 0, row.width_px or 0)
        image = torch.from_numpy(rgb_hw3).permute(2, 0, 1).contiguous()
        return image if self._contents.images == "uint8" else image.float() / 255


def _distribute(
    samples: dict[int, Sample],
    run: Sequence[int],
    name: str,
    maps: Sequence[AnyMap],
) -> None:
    for at, map_hw in zip(run, maps, strict=True):
        samples[at][name] = _as_tensor(map_hw)


def _as_tensor(stored: AnyMap) -> torch.Tensor:
    """Return a map as torch takes it: channels first, floats as float32, codes as they are."""
    values = torch.from_numpy(stored)
    if values.ndim == 3:
        values = values.permute(2, 0, 1).contiguous()
    # torch widens a float16 ten times as fast as NumPy does.
    return values.float() if values.is_floating_point() else values
