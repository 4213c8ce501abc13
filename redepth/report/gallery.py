"""Choose labels of an output and fetch what their pictures need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from redepth.errors import ConfigError, ImageRejected, TransientError
from redepth.geometry.sizes import TargetSize
from redepth.images.locator import Photographs
from redepth.images.uris import is_local
from redepth.report.pictures import ALWAYS_DRAWN, LabelPicture, Unread
from redepth.report.scene_errors import SceneErrors, scene_errors
from redepth.scenes.collection import truth_beside
from redepth.store.reader import StoredLabel
from redepth.types import ByteImage, LabelRow


def fetch_picture(
    label: StoredLabel,
    photographs: Photographs,
    photograph_px: int | None = None,
    also: Collection[str] = (),
) -> LabelPicture:
    """Read a label's maps and its photograph, if the one that was labelled is still there.

    Args:
        photograph_px: longer side of the photograph, None for the label's; its own at most.
        also: quantities to draw beside those that are drawn unasked.
    """
    extra = {
        quantity: label[name]
        for name, quantity in label.quantities.items()
        if name not in ALWAYS_DRAWN and (quantity.drawn or name in also)
    }
    photograph_hw3, unread = _open(label.row, photographs, photograph_px)
    return LabelPicture(
        row=label.row,
        photograph_hw3=photograph_hw3,
        coarse_hw=label.coarse,
        refined_hw=label.refined,
        confidence_hw=label.confidence,
        errors=None if photograph_hw3 is None else _errors(label),
        extra=extra,
        unread=unread,
    )


def unread_words(photographs: Iterable[Unread | None]) -> str | None:
    """Say how many photographs are not shown, and why; None where all are."""
    counts = Counter(unread.summary for unread in photographs if unread is not None)
    if not counts:
        return None
    reasons = "; ".join(f"{number} {summary}" for summary, number in counts.most_common())
    return f"Photographs not shown: {reasons}."


def _open(
    row: LabelRow, photographs: Photographs, side_px: int | None
) -> tuple[ByteImage, None] | tuple[None, Unread]:
    try:
        if side_px is None:
            return photographs.open_as_seen(row).rgb_hw3, None
        return photographs.open(row, _at_most(side_px)).rgb_hw3, None
    except ImageRejected as error:
        return None, Unread(error.summary, str(error))
    except (TransientError, ConfigError) as error:
        # Its storage may ask for credentials that who looks at labels does not have.
        return None, Unread("cannot be read from here", str(error))


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


def _at_most(side_px: int) -> TargetSize:
    """Return a size rule: the longer side at most so long."""

    def target(height_px: int, width_px: int) -> tuple[int, int]:
        scale = min(side_px / max(height_px, width_px), 1.0)
        return max(round(height_px * scale), 1), max(round(width_px * scale), 1)

    return target
