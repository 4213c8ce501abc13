"""Batches of images to refine: always full, and a failure concerns its own image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from redepth.config import load_recipe
from redepth.errors import ConfigError, RefinementFailed
from redepth.refiners import refiners
from redepth.refiners.batches import RefineOutcome, refine_all
from redepth.refiners.identity import IdentityRefiner
from redepth.refiners.refiner import RefinementInput, Refiner
from redepth.types import ByteImage, CoarseDepth, DepthKind, Members, ModelCard


class OneByOne:
    """Doubles the map, unless the image's id says that it fails."""

    cards: tuple[ModelCard, ...] = ()

    def __init__(self) -> None:
        self.calls: list[int] = []

    def caption(self, rgb_hw3: ByteImage, own_caption: str | None) -> str | None:
        return None

    def refine(self, scene: RefinementInput) -> Members:
        self.calls.append(1)
        return _doubled(scene)


class Batching(OneByOne):
    """The same in batches; notes how large they are."""

    def refine_batch(self, scenes: Sequence[RefinementInput]) -> list[RefineOutcome]:
        self.calls.append(len(scenes))
        return [outcome for scene in scenes for outcome in refine_all(OneByOne(), [scene], 1)]


def _doubled(scene: RefinementInput) -> Members:
    if scene.image_id == "fails":
        raise RefinementFailed("no member came through")
    return Members(2 * scene.coarse.map_hw[None])


def scene(image_id: str, value: float = 1.0, width_px: int = 3) -> RefinementInput:
    coarse = CoarseDepth(np.full((2, width_px), value, np.float32), DepthKind.AFFINE_DISPARITY)
    return RefinementInput(image_id, np.zeros((2, width_px, 3), np.uint8), coarse, "")


def values(outcomes: list[RefineOutcome]) -> list[float | str]:
    return [
        str(one) if isinstance(one, RefinementFailed) else float(one.maps_ehw[0, 0, 0])
        for one in outcomes
    ]


@pytest.mark.parametrize("refiner", [OneByOne(), Batching()])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 7])
def test_every_image_has_its_own_outcome_in_order(refiner: Refiner, batch_size: int) -> None:
    scenes = [scene("a", 1), scene("b", 2), scene("fails"), scene("c", 3), scene("d", 4)]
    found = values(refine_all(refiner, scenes, batch_size))
    assert found == [2.0, 4.0, "no member came through", 6.0, 8.0]


def test_a_batch_always_has_its_full_size() -> None:
    refiner = Batching()
    refine_all(refiner, [scene("a"), scene("b"), scene("c")], 2)
    assert refiner.calls == [2, 2]


@pytest.mark.parametrize(("refiner", "batch_size"), [(OneByOne(), 4), (Batching(), 1)])
def test_one_by_one_nothing_is_padded(refiner: OneByOne, batch_size: int) -> None:
    refine_all(refiner, [scene("a"), scene("b")], batch_size)
    assert refiner.calls == [1, 1]


def test_images_of_several_sizes_share_no_batch() -> None:
    with pytest.raises(ValueError, match="expected pictures of one size"):
        refine_all(Batching(), [scene("a"), scene("b", width_px=4)], 2)


def test_the_identity_needs_no_batches() -> None:
    found = refine_all(IdentityRefiner(), [scene("a", 5), scene("b", 7)], 2)
    assert values(found) == [5.0, 7.0]


def test_a_method_that_takes_images_one_by_one_says_why() -> None:
    with pytest.raises(ConfigError, match=r"compute\.batch_size is 2, and .*optimises every image"):
        load_recipe("mini", ["labels.compute.batch_size=2"])
    assert {name for name, part in refiners.own.items() if part.alone} == {"redepth_anything"}


@pytest.mark.parametrize(
    ("batch_size", "num_threads", "device", "refused"),
    [(4, 2, "cpu", True), (4, 2, "auto", True), (4, 2, "cuda", False), (4, 1, "cpu", False),
     (1, 2, "cpu", False)],
)  # fmt: skip
def test_on_a_cpu_batches_take_one_thread(
    batch_size: int, num_threads: int, device: str, refused: bool
) -> None:
    """Group norm and small products of two threads round by the place in a batch."""
    overrides = [
        f"labels.compute.{name}={value}"
        for name, value in (
            ("batch_size", batch_size), ("num_threads", num_threads), ("device", device),
        )
    ]  # fmt: skip
    if refused:
        with pytest.raises(ConfigError, match="last bits would depend on its place in it"):
            load_recipe("mini-coarse", overrides)
    else:
        assert load_recipe("mini-coarse", overrides).labels.compute.batch_size == batch_size


def test_a_recipe_with_batches_is_another_recipe() -> None:
    """Sums round by the shape of a batch: its size decides last bits, so it is recorded."""
    one, four = (
        load_recipe("mini-coarse", [f"labels.compute.batch_size={size}"]).labels.digest()
        for size in (1, 4)
    )
    assert one != four
