"""A photograph with its ground truth, and what reads many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from redepth.datasets.ground_truth import GroundTruth
from redepth.types import ByteImage


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A photograph with its ground truth.

    Attributes:
        id: the photograph's path below the folder.
        rgb_hw3: uint8 [H, W, 3].
        truth: on a grid of its own, which may have another size.
    """

    id: str
    rgb_hw3: ByteImage
    truth: GroundTruth


class Samples(Protocol):
    """Photographs with ground truth, read one at a time."""

    @property
    def images(self) -> Sequence[str]:
        """Return the photographs' names, sorted: paths below the folder, or ids."""
        ...

    def read(self, number: int) -> Sample:
        """Read the photograph `images[number]` and its ground truth.

        Raises:
            ConfigError: a file is not what the format says.
        """
        ...
