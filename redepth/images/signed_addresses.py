"""Signed URLs of a run's images, between their listing and their reading.

A catalogue and a manifest name such an image by its redacted uri. What opens it is kept here, in
the memory of the process that drives the run, and goes from there to the actor that reads it. A run
that is resumed has it from its own listing, perhaps signed anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import SecretStr

from redepth.types import ImageRef


class SignedAddresses:
    """What opens images, by id. No dataclass or mapping: Prefect walks through those."""

    def __init__(self) -> None:
        self._opens: dict[str, SecretStr] = {}

    def noting(self, images: Iterable[ImageRef]) -> Iterator[ImageRef]:
        """Yield images as they come; keep what opens them."""
        for image in images:
            if image.opens is not None:
                self._opens[image.id] = image.opens
            yield image

    def restored(self, image: ImageRef) -> ImageRef:
        """Return an image that a manifest names, with what opens it."""
        opens = self._opens.get(image.id)
        return image if opens is None else image._replace(opens=opens)
