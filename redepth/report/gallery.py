"""Choose labels of an output and fetch what their pictures need."""

from __future__ import annotations

from collections.abc import Sequence

from redepth.config import Decoding
from redepth.errors import ImageRejected, TransientError
from redepth.images.decode import read_image, resize
from redepth.report.pictures import LabelPicture
from redepth.store.reader import StoredLabel
from redepth.types import ByteImage, ImageRef, LabelRow


def fetch_picture(label: StoredLabel, decoding: Decoding) -> LabelPicture:
    """Read a label's maps and, at the label's size, its photograph if it is still there."""
    return LabelPicture(
        row=label.row,
        photograph_hw3=_photograph(label.row, decoding),
        coarse_hw=label.coarse,
        refined_hw=label.refined,
        confidence_hw=label.confidence,
    )


def spread_evenly(ids: Sequence[str], number: int) -> list[str]:
    """Return up to `number` ids at even distances, the first and the last among them."""
    if len(ids) <= number:
        return list(ids)
    if number == 1:
        return [ids[0]]
    return [ids[round(i * (len(ids) - 1) / (number - 1))] for i in range(number)]


def _photograph(row: LabelRow, decoding: Decoding) -> ByteImage | None:
    try:
        image = read_image(ImageRef(row.id, row.uri), decoding)
    except (ImageRejected, TransientError):
        return None
    assert row.height_px is not None and row.width_px is not None, "a label has a size"
    return resize(image.rgb_hw3, row.height_px, row.width_px)
