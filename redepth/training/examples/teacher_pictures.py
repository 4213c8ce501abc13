"""Labels of an expensive refiner as a student's training reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from redepth.types import ByteImage, FloatMap


@dataclass(frozen=True, slots=True, eq=False)
class TeacherPicture:
    """One labelled photograph.

    Attributes:
        rgb_hw3: uint8 [H, W, 3], at the label's size.
        coarse_hw, refined_hw: float32 [H, W], finite; near is large.
        weight_hw: float32 [H, W] in [0, 1]: the label's confidence where it has one, else 1; 0
            where a map says nothing.
    """

    id: str
    rgb_hw3: ByteImage
    coarse_hw: FloatMap
    refined_hw: FloatMap
    weight_hw: FloatMap

    @property
    def num_bytes(self) -> int:
        maps = (self.rgb_hw3, self.coarse_hw, self.refined_hw, self.weight_hw)
        return sum(array.nbytes for array in maps)


class TeacherPictures(Protocol):
    """Labelled photographs, read one at a time, by several threads."""

    @property
    def recipes(self) -> Sequence[tuple[str, str]]:
        """Return what made them: name and digest of each output's recipe, the teacher's first."""
        ...

    @property
    def models(self) -> Sequence[str]:
        """Return the models that did, each with its licence, as a person reads it."""
        ...

    @property
    def is_non_commercial(self) -> bool:
        """Return whether one of these licences forbids commercial use."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """Return the ids of the images that the teacher refined, sorted."""
        ...

    @property
    def is_metric(self) -> bool:
        """Return whether the maps are in metres."""
        ...

    def read(self, number: int) -> TeacherPicture:
        """Read the image `ids[number]`.

        Raises:
            ImageRejected: the photograph that was labelled cannot be read; says why.
        """
        ...
