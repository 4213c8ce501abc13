"""An image's members do not depend on the images that share its batch, nor on its place there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redepth.coarse.estimator import DepthEstimator
from redepth.config import load_recipe
from redepth.errors import RefinementFailed
from redepth.labelling.labeller import load_labeller
from redepth.refiners.batches import BatchRefiner, RefineOutcome, refine_all
from redepth.refiners.refiner import RefinementInput, Refiner
from redepth.types import CoarseDepth, FloatMap, Members

SIZE_HW = (40, 48)
METHODS = ("betterdepth", "sharpdepth")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Bench:
    """A trained refiner with 2 members, and images for it."""

    def __init__(self, method: str, members_per_batch: int) -> None:
        recipe = load_recipe(
            f"{method}-mini",
            [
                "labels.refiner.num_members=2",
                f"labels.refiner.members_per_batch={members_per_batch}",
            ],
        )
        labeller = load_labeller(recipe.labels)
        self.refiner: Refiner = labeller.refiner
        self._estimator: DepthEstimator = labeller.estimator
        self._drawn: dict[int, RefinementInput] = {}

    def scene(self, number: int) -> RefinementInput:
        """Return an image of noise."""
        if number not in self._drawn:
            rgb_hw3 = np.random.default_rng(number).integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)
            coarse = self._estimator.estimate(rgb_hw3)
            self._drawn[number] = RefinementInput(f"image-{number}", rgb_hw3, coarse, "")
        return self._drawn[number]

    def with_map(self, map_hw: FloatMap) -> RefinementInput:
        """Return an image with a map of another making."""
        scene = self.scene(0)
        own = CoarseDepth(map_hw.astype(np.float32), scene.coarse.kind)
        return replace(scene, image_id="odd", coarse=own)


@pytest.fixture(scope="module", params=[(m, size) for m in METHODS for size in (1, 2)], ids=str)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(*request.param)


@pytest.fixture(scope="module", params=METHODS)
def whole(request: pytest.FixtureRequest) -> Bench:
    return Bench(str(request.param), 2)


def content(outcome: RefineOutcome) -> tuple[object, ...]:
    assert isinstance(outcome, Members)
    return outcome.maps_ehw.tobytes(), outcome.stopped, outcome.metric, outcome.refused


@pytest.mark.parametrize("batch_size", [2, 3, 4])
def test_neighbours_place_and_number_leave_every_bit(bench: Bench, batch_size: int) -> None:
    refiner, target = bench.refiner, bench.scene(0)
    assert isinstance(refiner, BatchRefiner)
    (alone,) = refine_all(refiner, [target], batch_size)
    for number, place in [(batch_size, 0), (batch_size, batch_size - 1), (2, 1)]:
        scenes = [bench.scene(1 + other) for other in range(number)]
        scenes[place] = target
        assert content(refine_all(refiner, scenes, batch_size)[place]) == content(alone)


def test_a_batch_gives_what_one_image_gives_up_to_rounding(bench: Bench) -> None:
    scenes = [bench.scene(number) for number in range(4)]
    for scene, outcome in zip(scenes, refine_all(bench.refiner, scenes, 4), strict=True):
        own = bench.refiner.refine(scene)
        assert isinstance(outcome, Members)
        assert outcome.maps_ehw.shape == own.maps_ehw.shape
        np.testing.assert_allclose(
            outcome.maps_ehw, own.maps_ehw, atol=1e-3 * float(np.ptp(own.maps_ehw))
        )


def test_members_are_drawn_by_an_images_own_id(whole: Bench) -> None:
    """One picture under two ids: other members; under one id twice: the same."""
    scene = whole.scene(0)
    first, second, again = refine_all(
        whole.refiner, [scene, replace(scene, image_id="another"), scene], 3
    )
    assert content(first) == content(again)
    assert content(first) != content(second)


def test_an_image_keeps_none_of_its_neighbours(whole: Bench) -> None:
    for outcome in refine_all(whole.refiner, [whole.scene(0), whole.scene(1)], 2):
        assert isinstance(outcome, Members)
        assert outcome.maps_ehw.base is None


ODD = {
    "not finite": np.full(SIZE_HW, np.nan),
    "partly infinite": np.where(np.arange(SIZE_HW[1]) < 9, np.inf, np.ones(SIZE_HW)),
    "huge": np.linspace(0, 3e38, SIZE_HW[0] * SIZE_HW[1]).reshape(SIZE_HW),
    "flat": np.ones(SIZE_HW),
}


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(
    neighbours=st.lists(
        st.one_of(st.sampled_from(sorted(ODD)), st.integers(1, 4)), min_size=1, max_size=3
    ),
    place=st.integers(0, 3),
)
def test_random_neighbours_leave_every_bit(
    whole: Bench, neighbours: list[str | int], place: int
) -> None:
    """Neighbours whose numbers overflow or are none fail alone."""
    scenes = [
        whole.with_map(ODD[own]) if isinstance(own, str) else whole.scene(own) for own in neighbours
    ]
    place = min(place, len(scenes))
    scenes.insert(place, whole.scene(0))
    (alone,) = refine_all(whole.refiner, [whole.scene(0)], 4)
    found = refine_all(whole.refiner, scenes, 4)
    assert content(found[place]) == content(alone)


def test_a_map_that_is_not_finite_fails_its_own_image(whole: Bench) -> None:
    scenes = [whole.scene(1), whole.with_map(ODD["not finite"]), whole.scene(2)]
    first, broken, last = refine_all(whole.refiner, scenes, 2)
    assert isinstance(broken, RefinementFailed)
    assert "no member came through" in str(broken)
    for scene, outcome in ((scenes[0], first), (scenes[2], last)):
        assert content(outcome) == content(refine_all(whole.refiner, [scene], 2)[0])
