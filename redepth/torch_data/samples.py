"""From the positions of labels to samples: neighbours in one read, reads side by side."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from redepth.errors import ImageRejected
from redepth.images.locator import Photographs
from redepth.quantities import AnyMap
from redepth.store.reader import Labels
from redepth.torch_data.order import Positions, consecutive, numbered
from redepth.types import LabelRow

Sample = dict[str, Any]
ImageType = Literal["uint8", "float32"]
Unread = Literal["error", "skip"]

logger = logging.getLogger(__name__)


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

    Attributes:
        skipped: samples that this process has left out, by reason.
    """

    def __init__(
        self, labels: Labels, contents: Contents, photographs: Photographs, unread: Unread
    ) -> None:
        self._labels = labels.with_maps()
        self._contents = contents
        self._photographs = photographs
        self._skips = unread == "skip"
        self.skipped: Counter[str] = Counter()
        places = self._labels.table(["array_group", "array_index"])
        self.groups = numbered(places["array_group"].to_pylist())
        self.indices = places["array_index"].to_numpy().astype(np.int64)
        self._pid = os.getpid()
        self._inherited: list[Labels] = []

    def __len__(self) -> int:
        return len(self.groups)

    def read(self, positions: Positions, executor: Executor) -> dict[int, Sample]:
        """Read samples by their positions, in this order, less those that are skipped.

        Raises:
            PhotographChanged: a photograph is wanted, and other bytes are there than were labelled.
            ImageRejected: it is not there any more, or cannot be read for another reason.
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
            try:
                samples[at]["image"] = image.result()
            except ImageRejected as error:
                if not self._skips:
                    raise
                self._skip(error)
                del samples[at]
        return samples

    def _skip(self, error: ImageRejected) -> None:
        """Count a sample that is left out; the first of each reason is logged."""
        if not self.skipped[error.summary]:
            logger.warning("a sample is left out, its photograph %s: %s", error.summary, error)
        self.skipped[error.summary] += 1

    def _labels_here(self) -> Labels:
        """Connections to a storage do not survive a fork: open anew in another process."""
        if self._pid != os.getpid():
            # Kept: let go of, they are closed, and they are the other process's to close.
            self._inherited.append(self._labels)
            self._labels, self._pid = self._labels.reopened(), os.getpid()
        return self._labels

    def _image(self, row: LabelRow) -> torch.Tensor:
        at_label_size = self._contents.resize_images
        opened = (self._photographs.open_as_seen if at_label_size else self._photographs.open)(row)
        image = torch.from_numpy(opened.rgb_hw3).permute(2, 0, 1).contiguous()
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
