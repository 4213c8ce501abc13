"""Batches of pictures: always full, padding dropped, a failure concerns its own picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from redepth.coarse.batches import EstimateOutcome, estimate_all, in_full_batches
from redepth.coarse.estimator import DepthEstimator
from redepth.errors import RefinementFailed
from redepth.types import ByteImage, CoarseDepth, DepthKind, ModelCard

FAILS = 255  # a picture of this value


class OneByOne:
    """A model that gives a picture's red plus its focal length, and no batches."""

    kind = DepthKind.AFFINE_DISPARITY
    card = ModelCard("coarse", "one by one", "here", None, "0" * 64, "MIT")

    def __init__(self) -> None:
        self.calls: list[int] = []

    def processing_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        return height_px, width_px

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        self.calls.append(1)
        return self.map_of(rgb_hw3, focal_px)

    def map_of(self, rgb_hw3: ByteImage, focal_px: float | None) -> CoarseDepth:
        if (rgb_hw3 == FAILS).all():
            raise RefinementFailed("too bright")
        return CoarseDepth(rgb_hw3[..., 0].astype(np.float32) + (focal_px or 0.0), self.kind)


class Batching(OneByOne):
    """The same in batches; notes how large they are."""

    def estimate_batch(
        self, rgbs_hw3: Sequence[ByteImage], focals_px: Sequence[float | None]
    ) -> list[EstimateOutcome]:
        self.calls.append(len(rgbs_hw3))
        pairs = zip(rgbs_hw3, focals_px, strict=True)
        return [one for rgb, focal in pairs for one in estimate_all(OneByOne(), [rgb], [focal], 1)]


def pictures(*values: int) -> list[ByteImage]:
    return [np.full((2, 3, 3), value, np.uint8) for value in values]


def values(outcomes: list[EstimateOutcome]) -> list[float | str]:
    return [
        str(one) if isinstance(one, RefinementFailed) else float(one.map_hw[0, 0])
        for one in outcomes
    ]


@pytest.mark.parametrize("model", [OneByOne(), Batching()])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 7])
def test_every_picture_has_its_own_outcome_in_order(model: DepthEstimator, batch_size: int) -> None:
    shown = pictures(3, 1, FAILS, 9, 4)
    found = estimate_all(model, shown, [0.5, None, None, 0.25, None], batch_size)
    assert values(found) == [3.5, 1.0, "too bright", 9.25, 4.0]


def test_a_batch_always_has_its_full_size() -> None:
    model = Batching()
    estimate_all(model, pictures(1, 2, 3, 4, 5), [None] * 5, 4)
    estimate_all(model, pictures(1), [None], 4)
    assert model.calls == [4, 4, 4]


@pytest.mark.parametrize(("model", "batch_size"), [(OneByOne(), 4), (Batching(), 1)])
def test_one_by_one_nothing_is_padded(model: OneByOne, batch_size: int) -> None:
    estimate_all(model, pictures(1, 2, 3), [None] * 3, batch_size)
    assert model.calls == [1, 1, 1]


def test_no_pictures_are_no_forward() -> None:
    model = Batching()
    assert estimate_all(model, [], [], 4) == []
    assert model.calls == []


def test_pictures_of_several_sizes_share_no_batch() -> None:
    shown = [*pictures(1), np.zeros((3, 2, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"one size, got \[\(2, 3, 3\), \(3, 2, 3\)\]"):
        estimate_all(OneByOne(), shown, [None, None], 2)


def test_a_picture_without_its_focal_length_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        estimate_all(OneByOne(), pictures(1, 2), [None], 2)


def test_what_concerns_the_forward_is_raised() -> None:
    class Broken(Batching):
        def estimate_batch(
            self, rgbs_hw3: Sequence[ByteImage], focals_px: Sequence[float | None]
        ) -> list[EstimateOutcome]:
            raise MemoryError("of the device")

    with pytest.raises(MemoryError, match="of the device"):
        estimate_all(Broken(), pictures(1, 2), [None, None], 2)


def test_the_filling_is_the_last_item_and_is_dropped() -> None:
    shown: list[Sequence[int]] = []

    def double(batch: Sequence[int]) -> list[int]:
        shown.append(batch)
        return [2 * item for item in batch]

    assert in_full_batches(double, [1, 2, 3, 4, 5], 3) == [2, 4, 6, 8, 10]
    assert shown == [[1, 2, 3], [4, 5, 5]]


def test_a_batch_that_loses_an_image_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch of 3 images came back with 2 outcomes"):
        in_full_batches(lambda batch: list(batch)[1:], [1, 2], 3)
