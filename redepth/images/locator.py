"""From a row of the catalogue back to its photograph: the one that was labelled, or an error.

A row holds what the listing found out (uri, offset in a tar, size), so that a photograph is read
again as it was read first, and the sha256 of the bytes that were labelled. Bytes with another one
are never decoded: no picture is shown beside a label that is not its own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from redepth.config import Decoding
from redepth.errors import PhotographChanged
from redepth.geometry.sizes import TargetSize
from redepth.images.allowed import ANYTHING, Allowed
from redepth.images.decode import decode, read_bytes
from redepth.redaction import shown
from redepth.types import DecodedImage, ImageRef, LabelRow, Outcome


@dataclass(frozen=True, slots=True)
class Photographs:
    """Opens the photographs of an output's rows.

    Attributes:
        decoding: of the recipe that made the labels.
        allowed: what may be read; a row may come from a stranger.
    """

    decoding: Decoding
    allowed: Allowed = ANYTHING

    def open(self, row: LabelRow, target: TargetSize | None = None) -> DecodedImage:
        """Read, check and decode the photograph of a row; `target` as in `redepth.images.decode`.

        Raises:
            PhotographChanged: other bytes are there now than were labelled, or the row does not say
                which were.
            ImageRejected: it may not be read, is gone, or cannot be read for another reason.
            TransientError: the storage answered badly.
            ConfigError: its storage cannot be read from here (no credentials, package missing).
        """
        return decode(self.read(row), self.decoding, target)

    def open_as_seen(self, row: LabelRow) -> DecodedImage:
        """Return the photograph of a row that has maps at their size: the pixels the models saw.

        Raises:
            RedepthError: as `open`.
        """
        assert row.height_px is not None and row.width_px is not None, "a label has a size"
        label_hw = row.height_px, row.width_px
        return self.open(row, lambda height_px, width_px: label_hw)

    def read(self, row: LabelRow) -> bytes:
        """Read the bytes of a row's photograph, and check that they are those that were labelled.

        Raises:
            RedepthError: as `open`.
        """
        content = read_bytes(photograph_of(row), self.decoding, self.allowed)
        if row.sha256 is None or hashlib.sha256(content).hexdigest() != row.sha256:
            raise PhotographChanged(_changed(row, len(content)))
        return content


def photograph_of(row: LabelRow) -> ImageRef:
    """Return a row's photograph as its listing saw it."""
    return ImageRef(row.id, row.uri, row.size_bytes, row.version, offset_bytes=row.offset_bytes)


def blank_row(ref: ImageRef, outcome: Outcome) -> LabelRow:
    """Start a row with what the listing found out about a photograph."""
    return LabelRow(
        id=ref.id,
        uri=ref.uri,
        outcome=outcome,
        size_bytes=ref.size_bytes,
        version=ref.version,
        offset_bytes=ref.offset_bytes,
    )


def relocated(row: LabelRow, place: LabelRow) -> LabelRow:
    """Return a row as that of the photograph that another row is of: its id and where it lies."""
    return replace(
        row,
        id=place.id,
        uri=place.uri,
        size_bytes=place.size_bytes,
        version=place.version,
        offset_bytes=place.offset_bytes,
    )


def _changed(row: LabelRow, num_bytes: int) -> str:
    if row.sha256 is None:
        return f"{row.id}: its row does not say which bytes were labelled (sha256): label it again"
    return (
        f"{row.id}: {shown(row.uri)} is not the file that was labelled: its {num_bytes:,} bytes "
        f"have another sha256 than the row ({row.sha256[:12]}...); label it again, or put the old "
        "file back"
    )
