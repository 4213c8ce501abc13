"""Several images in one forward of a refiner: what such a refiner promises, and how it is called.

As in `redepth.coarse.batches`, a batch always has the recipe's size, filled up with copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from redepth.coarse.batches import in_full_batches, require_one_size
from redepth.errors import RefinementFailed
from redepth.refiners.refiner import RefinementInput, Refiner
from redepth.types import Members

# An image's own failure is a value here: raised, it would take its neighbours with it.
RefineOutcome = Members | RefinementFailed


@runtime_checkable
class BatchRefiner(Protocol):
    """A `Refiner` that can take several images of one size in one forward."""

    def refine_batch(self, scenes: Sequence[RefinementInput]) -> list[RefineOutcome]:
        """Return what `refine` would of each image, rounded as the batch's size decides.

        The members of an image depend on its scene, the recipe and the number of scenes alone:
        neither on the others nor on its place among them.

        Args:
            scenes: of pictures of one size.

        Returns:
            Members of each image, in their order; in its place `RefinementFailed` where `refine`
            would raise it.
        """


def refine_all(
    refiner: Refiner, scenes: Sequence[RefinementInput], batch_size: int
) -> list[RefineOutcome]:
    """Refine images of one size in forwards of exactly `batch_size` images.

    A refiner that takes no batches, and any refiner with a batch size of 1, is asked for one image
    after the other.

    Returns:
        The outcome of each image, in their order. What concerns a whole forward (out of memory, a
        fault of the device) is raised.

    Raises:
        ValueError: pictures of several sizes.
    """
    require_one_size([scene.rgb_hw3 for scene in scenes])
    if batch_size == 1 or not isinstance(refiner, BatchRefiner):
        return [_refine_one(refiner, scene) for scene in scenes]
    return in_full_batches(refiner.refine_batch, scenes, batch_size)


def _refine_one(refiner: Refiner, scene: RefinementInput) -> RefineOutcome:
    try:
        return refiner.refine(scene)
    except RefinementFailed as error:
        return error
