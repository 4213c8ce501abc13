"""The maps and photographs of an output as an export takes them, shard by shard."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from PIL import Image

from redepth.errors import ImageRejected
from redepth.exports.items import Item
from redepth.exports.part import Contents
from redepth.images.locator import Photographs
from redepth.store.reader import Labels
from redepth.types import LabelRow

_MAPS_PER_READ = 16

OnLeftOut = Callable[[LabelRow, ImageRejected], None]


def read_items(
    labels: Labels,
    rows: Sequence[LabelRow],
    names: Mapping[str, str],
    contents: Contents,
    photographs: Photographs,
    on_left_out: OnLeftOut,
) -> Iterator[Item]:
    """Read rows' maps and photographs in their order, neighbours of a shard together.

    Args:
        names: of their files, by id.
        on_left_out: is told of an image whose photograph is wanted and is not the one that was
            labelled, or cannot be read; the image is left out.
    """
    for run in _runs(rows):
        columns = [labels.read_run(run, quantity.name) for quantity in contents.quantities]
        for row, *stored in zip(run, *columns, strict=True):
            named = zip(contents.quantities, stored, strict=True)
            maps = {quantity: values.astype(quantity.in_memory) for quantity, values in named}
            try:
                image = _photograph(row, photographs) if contents.with_images else None
            except ImageRejected as error:
                on_left_out(row, error)
                continue
            yield Item(row, names[row.id], maps, image)


def _runs(rows: Sequence[LabelRow]) -> Iterator[list[LabelRow]]:
    """Cut rows into neighbours: of one group, counting up, not too many."""
    numbered = list(enumerate(rows))
    for _, group in groupby(numbered, key=lambda n: (n[1].array_group, _place(n[1]) - n[0])):
        run = [row for _, row in group]
        yield from (run[i : i + _MAPS_PER_READ] for i in range(0, len(run), _MAPS_PER_READ))


def _place(row: LabelRow) -> int:
    assert row.array_index is not None, "rows without maps are not exported"
    return row.array_index


def _photograph(row: LabelRow, photographs: Photographs) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photographs.open_as_seen(row).rgb_hw3).save(file, format="PNG")
    return file.getvalue()
