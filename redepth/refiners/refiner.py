"""What turns a coarse map into an ensemble of refined ones: what all of them promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from redepth.types import ByteImage, CoarseDepth, Members, ModelCard


@dataclass(frozen=True, slots=True, eq=False)
class RefinementInput:
    """One image as a refiner sees it.

    Attributes:
        image_id: seeds the random draws, with the recipe's seed.
        rgb_hw3: uint8 [H, W, 3] at the processing size.
        coarse: the map to refine, [H, W], with the estimator's features.
        caption: the prior's prompt, as `Refiner.caption` gave it.
        own_caption: what the list says of the image.
    """

    image_id: str
    rgb_hw3: ByteImage
    coarse: CoarseDepth
    caption: str
    own_caption: str | None = None


class Refiner(Protocol):
    """A method. Holds its models; knows nothing of files, batches or where it runs."""

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """The models this refiner loaded, beyond the coarse one."""
        ...

    def caption(self, rgb_hw3: ByteImage, own_caption: str | None) -> str | None:
        """Return the prompt for an image, or None where the method needs none."""
        ...

    def refine(self, scene: RefinementInput) -> Members:
        """Return the ensemble for one image; a function of the scene and the recipe alone.

        Raises:
            RefinementFailed: no member came through.
        """
        ...
