"""A photograph before any model: read, bounded, decoded and resized, without torch.

This is the first stage of a label's way (`redepth.labelling.labeller`). All that it knows of the
models is the size that they want, so it may run wherever the file can be read: on an actor's own
threads, or in a process of its own on another node (`redepth.cluster.decoding`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

from redepth.config import Decoding
from redepth.errors import ImageRejected, RefinementFailed
from redepth.geometry.sizes import TargetSize
from redepth.images.allowed import ANYTHING, Allowed
from redepth.images.camera import known_focal
from redepth.images.decode import decode, read_bytes
from redepth.images.locator import blank_row, relocated
from redepth.labelling.unchanged import is_unchanged
from redepth.labelling.work import Work
from redepth.redaction import recorded
from redepth.types import ByteImage, DecodedImage, ImageRef, Label, LabelRow, Outcome


class Source(NamedTuple):
    """What a label depends on, beside the recipe and the image's id.

    Attributes:
        sha256: of the file.
        caption, focal_px, fov_deg: what the list says of it.
    """

    sha256: str
    caption: str | None
    focal_px: float | None
    fov_deg: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A photograph as the models take it. It holds no address that opens the file.

    Attributes:
        row: what is known of it so far.
        source: what its label depends on, beside the recipe.
        rgb_hw3: uint8 [H, W, 3] at the processing size.
    """

    row: LabelRow
    source: Source
    rgb_hw3: ByteImage


@dataclass(frozen=True, slots=True)
class Preparer:
    """Prepares photographs, on any number of threads; can be sent to another process.

    Its rows do not say where a label is made: `redepth.labelling.labeller.Labeller.receive` does.
    """

    decoding: Decoding
    processing_size: TargetSize
    allowed: Allowed = ANYTHING

    def prepare(self, ref: ImageRef, before: LabelRow | None = None) -> Prepared | Label:
        """Read, decode and resize a photograph; return its label at once where there is one.

        Args:
            before: the image's committed row, which is kept where the bytes are the same.

        Raises:
            ImageRejected: it is not a usable photograph; see `rejected`.
            TransientError: the storage answered badly; the same call may go through later.
            ConfigError: the storage refuses us for a reason that concerns the whole run.
        """
        started = time.perf_counter()
        content = read_bytes(ref, self.decoding, self.allowed)
        if before is not None and is_unchanged(content, ref, before):
            return Label(relocated(before, blank_row(ref, Outcome.FAILED)))
        return self._decoded(ref, content, started)

    def prepare_content(self, ref: ImageRef, content: bytes) -> Prepared | Label:
        """Decode and resize a photograph that was read already; raises ImageRejected."""
        return self._decoded(ref, content, time.perf_counter())

    def _decoded(self, ref: ImageRef, content: bytes, started: float) -> Prepared | Label:
        image = decode(content, self.decoding, self.processing_size)
        # Failed until proved otherwise.
        row = _with_file(blank_row(ref, Outcome.FAILED), image)
        try:
            focal = known_focal(ref, image)
        except RefinementFailed as error:
            return failed(_read_in(row, started), error)
        if focal is not None:
            focal_px = focal.px * image.rgb_hw3.shape[1] / image.width_px
            row = replace(row, focal_px=focal_px, focal_source=focal.source)
        source = Source(image.sha256, ref.caption, ref.focal_px, ref.fov_deg)
        return Prepared(_read_in(row, started), source, image.rgb_hw3)


def rejected(ref: ImageRef, error: ImageRejected, work: Work) -> Label:
    """Return the label of what is not a usable photograph: a row with the reason."""
    seconds = work.seconds
    row = replace(blank_row(ref, Outcome.REJECTED), seconds=seconds, read_seconds=seconds)
    return Label(replace(row, reason=recorded(str(error))))


def failed(row: LabelRow, error: RefinementFailed) -> Label:
    """Return the label of an image that could not be labelled: its row with the reason."""
    return Label(replace(row, outcome=Outcome.FAILED, reason=recorded(str(error))))


def _with_file(row: LabelRow, image: DecodedImage) -> LabelRow:
    """Record what the decoded file is."""
    return replace(
        row,
        sha256=image.sha256,
        file_format=image.file_format,
        decode_notes="; ".join(image.notes) or None,
        image_height_px=image.height_px,
        image_width_px=image.width_px,
    )


def _read_in(row: LabelRow, started: float) -> LabelRow:
    seconds = time.perf_counter() - started
    return replace(row, seconds=seconds, read_seconds=seconds)
