"""Several images in one forward of a coarse model: what is promised, and how it is called.

A batch always has the size that the recipe names (`labels.compute.batch_size`): kernels are chosen
by shape, and sums in another order differ in their last bits. What is missing is filled up with
copies, and what comes of the copies is dropped, so an image's bytes do not depend on how many
others there are, nor on which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from redepth.coarse.estimator import DepthEstimator
from redepth.errors import RefinementFailed
from redepth.types import ByteImage, CoarseDepth

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

# An image's own failure is a value here: raised, it would take its neighbours with it.
EstimateOutcome = CoarseDepth | RefinementFailed


@runtime_checkable
class BatchEstimator(Protocol):
    """A `DepthEstimator` that can take several pictures of one size in one forward."""

    def estimate_batch(
        self, rgbs_hw3: Sequence[ByteImage], focals_px: Sequence[float | None]
    ) -> list[EstimateOutcome]:
        """Return what `estimate` would of each picture, rounded as the batch's size decides.

        The map of a picture depends on the picture, its focal length and the number of pictures
        alone: neither on the others nor on its place among them.

        Args:
            rgbs_hw3: uint8 [H, W, 3] each, all of one size, at their processing size.
            focals_px: of each picture, as for `estimate`.

        Returns:
            A coarse map for each picture, in their order; in its place `RefinementFailed` where
            `estimate` would raise it.
        """


def estimate_all(
    estimator: DepthEstimator,
    rgbs_hw3: Sequence[ByteImage],
    focals_px: Sequence[float | None],
    batch_size: int,
) -> list[EstimateOutcome]:
    """Estimate pictures of one size in forwards of exactly `batch_size` pictures.

    A model that takes no batches, and any model with a batch size of 1, is asked for one picture
    after the other.

    Args:
        rgbs_hw3: uint8 [H, W, 3] each, at their processing size.
        focals_px: of each picture, in pixels of its width; None where it is not known.

    Returns:
        The outcome of each picture, in their order. What concerns a whole forward (out of memory, a
        fault of the device) is raised.

    Raises:
        ValueError: pictures of several sizes, or another number of focal lengths.
    """
    require_one_size(rgbs_hw3)
    pictures = list(zip(rgbs_hw3, focals_px, strict=True))
    if batch_size == 1 or not isinstance(estimator, BatchEstimator):
        return [_estimate_one(estimator, *picture) for picture in pictures]
    batched = estimator

    def estimate(batch: Sequence[tuple[ByteImage, float | None]]) -> list[EstimateOutcome]:
        rgbs, focals = zip(*batch, strict=True)
        return batched.estimate_batch(rgbs, focals)

    return in_full_batches(estimate, pictures, batch_size)


def in_full_batches(
    call: Callable[[Sequence[Item]], list[Outcome]], items: Sequence[Item], size: int
) -> list[Outcome]:
    """Call with `size` items at a time; the last batch is filled up with copies of its last item.

    What comes of the copies is dropped.

    Raises:
        ValueError: a batch came back with another number of outcomes.
    """
    outcomes: list[Outcome] = []
    for first in range(0, len(items), size):
        batch = items[first : first + size]
        found = call([*batch, *[batch[-1]] * (size - len(batch))])
        if len(found) != size:
            raise ValueError(f"a batch of {size} images came back with {len(found)} outcomes")
        outcomes += found[: len(batch)]
    return outcomes


def only(outcomes: Sequence[Outcome | RefinementFailed]) -> Outcome:
    """Return the one outcome of a batch of one image. Raises RefinementFailed if it is that."""
    (outcome,) = outcomes
    if isinstance(outcome, RefinementFailed):
        raise outcome
    return outcome


def require_one_size(rgbs_hw3: Sequence[ByteImage]) -> None:
    """Refuse pictures that cannot share a batch. Raises ValueError."""
    sizes = sorted({rgb_hw3.shape for rgb_hw3 in rgbs_hw3})
    if len(sizes) > 1:
        raise ValueError(f"expected pictures of one size, got {sizes}: batch those that are alike")


def _estimate_one(
    estimator: DepthEstimator, rgb_hw3: ByteImage, focal_px: float | None
) -> EstimateOutcome:
    try:
        return estimator.estimate(rgb_hw3, focal_px)
    except RefinementFailed as error:
        return error
