"""Which labels a student learns from, and which judge it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from redepth.errors import ConfigError

HELD_OUT_NAME = "held_out.json"
_FEWEST = 4


@dataclass(frozen=True, slots=True)
class Split:
    """The numbers of the images that are trained on, and of those that are kept out."""

    learned: tuple[int, ...]
    held_out: tuple[int, ...]


def split_images(ids: Sequence[str], held_out_share: float) -> Split:
    """Part the images by their ids alone: those of later rounds stay where they were.

    Raises:
        ConfigError: one of the parts has too few images.
    """
    held_out = tuple(n for n, image in enumerate(ids) if is_held_out(image, held_out_share))
    learned = tuple(sorted(set(range(len(ids))) - set(held_out)))
    if min(len(held_out), len(learned)) < _FEWEST:
        raise ConfigError(
            f"the teacher refined {len(ids)} images, of which {len(held_out)} would be kept out: a "
            f"student takes {_FEWEST} of each at the least, and hundreds to learn something. Label "
            "more images with the teacher's recipe"
        )
    return Split(learned, held_out)


def is_held_out(image_id: str, share: float) -> bool:
    """Return whether an image is kept out of the training: by its id, whatever else is labelled."""
    digest = hashlib.sha256(f"held out\x1f{image_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
