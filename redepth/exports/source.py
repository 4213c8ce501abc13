"""The maps and photographs of an output as an export takes them, shard by shard."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import groupby

from PIL import Image

from redepth.config import Decoding
from redepth.errors import ImageRejected
from redepth.exports.items import Item
from redepth.exports.part import Contents
from redepth.images.decode import read_image, resize
from redepth.store.reader import Labels
from redepth.types import ImageRef, LabelRow

_MAPS_PER_READ = 16


def read_items(labels: Labels, rows: Sequence[LabelRow], contents: Contents) -> Iterator[Item]:
    """Read rows' maps and photographs in their order, neighbours of a shard together.

    Raises:
        ImageRejected: a photograph is wanted and not there any more; names it.
    """
    decoding = labels.dataset.recorded.decoding
    for run in _runs(rows):
        columns = [labels.read_run(run, quantity.name) for quantity in contents.quantities]
        for row, *stored in zip(run, *columns, strict=True):
            named = zip(contents.quantities, stored, strict=True)
            maps = {quantity: values.astype(quantity.in_memory) for quantity, values in named}
            image = _photograph(row, decoding) if contents.with_images else None
            yield Item(row, maps, image)


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
