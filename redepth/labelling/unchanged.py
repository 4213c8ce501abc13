"""Whether a photograph still is the one that its label was made of: all that a label depends on."""

from __future__ import annotations

import hashlib
import math

from redepth.images.camera import focal_of_fov
from redepth.types import FocalSource, ImageRef, LabelRow

_FOCAL_TOLERANCE = 1e-9


def is_unchanged(content: bytes, ref: ImageRef, row: LabelRow) -> bool:
    """Whether a label made anew would be the committed one: the bytes and the list say the same.

    A list that says no caption now says nothing: the row does not tell whose its caption is.
    """
    return (
        hashlib.sha256(content).hexdigest() == row.sha256
        and _has_same_caption(ref, row)
        and _has_same_focal(ref, row)
    )


def _has_same_caption(ref: ImageRef, row: LabelRow) -> bool:
    """A row without a caption is of a method that reads none."""
    return not ref.caption or row.caption is None or ref.caption == row.caption


def _has_same_focal(ref: ImageRef, row: LabelRow) -> bool:
    was_listed = row.focal_source is FocalSource.LIST
    if ref.fov_deg is None and ref.focal_px is None:
        return not was_listed
    if not was_listed or None in (row.focal_px, row.width_px, row.image_width_px):
        return False
    assert row.focal_px and row.width_px and row.image_width_px, "just looked at"
    focal_px = ref.focal_px
    if ref.fov_deg is not None:
        focal_px = focal_of_fov(ref.fov_deg, row.image_width_px)
    assert focal_px is not None, "the list says one of them"
    at_label_px = focal_px * row.width_px / row.image_width_px
    return math.isclose(at_label_px, row.focal_px, rel_tol=_FOCAL_TOLERANCE)
