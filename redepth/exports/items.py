"""What of one image goes into an export, read shard by shard."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from redepth.config import Decoding
from redepth.errors import ImageRejected
from redepth.exports.request import ExportRequest
from redepth.images.decode import read_image, resize
from redepth.store.reader import Labels
from redepth.types import FloatMap, ImageRef, LabelRow

_MAPS_PER_READ = 16
_MAX_NAME_CHARS = 200  # a disk takes 255, with the suffix and what a temporary file's name adds
_KEPT_CHARS = 160


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One image: its row, the chosen maps as float32 [H, W], its photograph as PNG or None."""

    row: LabelRow
    maps: Mapping[str, FloatMap]
    photograph: bytes | None = None

    def facts(self) -> dict[str, Any]:
        """Return the row as plain values, without what only the store needs."""
        return {name: value for name, value in asdict(self.row).items() if name not in _OF_STORE}


_OF_STORE = ("shard", "array_group", "array_index")


def file_name(image_id: str) -> str:
    """Return an id as a file name: what is neither letter, digit, - nor _ becomes %XX.

    Different ids have different names; dots go too, since WebDataset ends a key at the first. One
    that no disk would take is cut, and ends in "%-", which no other has, and a digest of the id.
    """
    name = quote(image_id, safe="").replace(".", "%2E").replace("~", "%7E")
    if len(name) <= _MAX_NAME_CHARS:
        return name
    return f"{name[:_KEPT_CHARS]}%-{hashlib.sha256(image_id.encode()).hexdigest()[:32]}"


def read_items(labels: Labels, rows: Sequence[LabelRow], request: ExportRequest) -> Iterator[Item]:
    """Read rows' maps and photographs in their order, neighbours of a shard together.

    Raises:
        ImageRejected: a photograph is wanted and not there any more; names it.
    """
    decoding = labels.dataset.recorded.decoding
    for run in _runs(rows):
        columns = [labels.read_run(run, quantity) for quantity in request.quantities]
        for row, *maps in zip(run, *columns, strict=True):
            widened = [map_hw.astype(np.float32) for map_hw in maps]
            image = _photograph(row, decoding) if request.with_images else None
            yield Item(row, dict(zip(request.quantities, widened, strict=True)), image)


def _runs(rows: Sequence[LabelRow]) -> Iterator[list[LabelRow]]:
    """Cut rows into neighbours: of one group, counting up, not too many."""
    numbered = list(enumerate(rows))
    for _, group in groupby(numbered, key=lambda n: (n[1].array_group, _place(n[1]) - n[0])):
        run = [row for _, row in group]
        yield from (run[i : i + _MAPS_PER_READ] for i in range(0, len(run), _MAPS_PER_READ))


def _place(row: LabelRow) -> int:
    assert row.array_index is not None, "rows without maps are not exported"
    return row.array_index


def _photograph(row: LabelRow, decoding: Decoding) -> bytes:
    try:
        image = read_image(ImageRef(row.id, row.uri), decoding)
    except ImageRejected as error:
        raise ImageRejected(
            f"{row.id}: its photograph cannot be exported: {error}; export without images, "
            "or leave it out by a condition"
        ) from error
    file = io.BytesIO()
    rgb_hw3 = resize(image.rgb_hw3, row.height_px or 0, row.width_px or 0)
    Image.fromarray(rgb_hw3).save(file, format="PNG")
    return file.getvalue()
