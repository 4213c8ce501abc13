"""Choose labels of an output and fetch what their pictures need."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from redepth.config import Decoding
from redepth.errors import ConfigError, ImageRejected, TransientError
from redepth.images.decode import read_image, resize
from redepth.images.uris import is_local
from redepth.report.pictures import ALWAYS_DRAWN, LabelPicture
from redepth.report.scene_errors import SceneErrors, scene_errors
from redepth.scenes.collection import truth_beside
from redepth.store.reader import StoredLabel
from redepth.types import ByteImage, ImageRef, LabelRow


def fetch_picture(
    label: StoredLabel,
    decoding: Decoding,
    photograph_px: int | None = None,
    also: Collection[str] = (),
) -> LabelPicture:
    """Read a label's maps and its photograph, if it is still there.

    Args:
        photograph_px: longer side of the photograph, None for the label's; its own at most.
        also: quantities to draw beside those that are drawn unasked.
    """
    extra = {
        quantity: label[name]
        for name, quantity in label.quantities.items()
        if name not in ALWAYS_DRAWN and (quantity.drawn or name in also)
    }
    return LabelPicture(
        row=label.row,
        photograph_hw3=_photograph(label.row, decoding, photograph_px),
        coarse_hw=label.coarse,
        refined_hw=label.refined,
        confidence_hw=label.confidence,
        errors=_errors(label),
        extra=extra,
    )


def _errors(label: StoredLabel) -> SceneErrors | None:
    """Return how wrong the label is, where the image is a rendered scene on this machine."""
    if not is_local(label.row.uri):
        return None
    truth = truth_beside(Path(label.row.uri.removeprefix("file://")))
    if truth is None:
        return None
    assert label.row.kind is not None, "a label has a kind"
    if label.row.kind.is_metric and truth.camera is None:
        return None  # a relief's depth is in halves of the picture's height, not in metres
    return scene_errors(label.coarse, label.refined, label.row.kind, truth.depth_hw)


def spread_evenly(ids: Sequence[str], number: int) -> list[str]:
    """Return up to `number` ids at even distances, the first and the last among them."""
    if len(ids) <= number:
        return list(ids)
    if number == 1:
        return [ids[0]]
    return [ids[round(i * (len(ids) - 1) / (number - 1))] for i in range(number)]


def _photograph(row: LabelRow, decoding: Decoding, side_px: int | None) -> ByteImage | None:
    try:
        image = read_image(ImageRef(row.id, row.uri), decoding)
    except (ImageRejected, TransientError, ConfigError):
        return None  # its storage may ask for credentials that who looks at labels does not have
    assert row.height_px is not None and row.width_px is not None, "a label has a size"
    if side_px is None:
        return resize(image.rgb_hw3, row.height_px, row.width_px)
    scale = min(side_px / max(image.height_px, image.width_px), 1.0)
    height_px, width_px = (max(round(n * scale), 1) for n in (image.height_px, image.width_px))
    return resize(image.rgb_hw3, height_px, width_px)
