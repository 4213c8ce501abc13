"""Images that take down what touches them, in one shard with good ones: each ends recorded."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from ray import cloudpickle

from redepth.cluster.calls import LabelledImage
from redepth.cluster.pool import ActorPool
from redepth.cluster.session import ray_session
from redepth.config import Actors, LabelSettings, Recipe, RunSettings
from redepth.images.collection import list_images
from redepth.store.dataset import begin
from redepth.store.manifest import read_shard_plans
from redepth.store.planning import plan_labels
from redepth.store.reader import Labels, open_labels
from redepth.store.verification import verify_labels
from redepth.types import (
    ByteImage,
    CoarseDepth,
    DepthKind,
    LabelRow,
    Members,
    ModelCard,
    Outcome,
)

if TYPE_CHECKING:
    from redepth.labelling.stages import StagedLabeller
    from redepth.refiners.refiner import RefinementInput

pytestmark = pytest.mark.slow
cloudpickle.register_pickle_by_value(sys.modules[__name__])

TIMEOUT_S = 8.0
CARD = ModelCard("coarse", "fake", "a test", None, "0" * 64, "none", untrained=True)
SEGFAULT, HANG, MEMORY, EXIT, NAN_COARSE, NAN_REFINED, GOOD = 10, 20, 30, 40, 50, 60, 100
POISON = {
    "segfault": SEGFAULT, "hang": HANG, "memory": MEMORY, "exit": EXIT,
    "nan-coarse": NAN_COARSE, "nan-refined": NAN_REFINED,
}  # fmt: skip
NUM_GOOD = 10


class PoisonedModels:
    """A coarse model and a refiner that do what the picture's grey says."""

    card = CARD
    cards = ()
    kind = DepthKind.AFFINE_DISPARITY

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        limit = 3 << 30
        address_space = (
            int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        )
        resource.setrlimit(resource.RLIMIT_AS, (address_space + limit, resource.RLIM_INFINITY))

    def processing_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        return height_px, width_px

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        grey = int(rgb_hw3[0, 0, 0])
        with (self.folder / f"{grey}").open("a") as file:
            file.write(f"{time.time()}\n")
        if grey == SEGFAULT:
            ctypes.string_at(0)
        if grey == EXIT:
            os._exit(3)
        if grey == HANG:
            time.sleep(3600)
        if grey == MEMORY:
            np.ones(8 << 30, np.uint8)
        map_hw = np.arange(rgb_hw3[..., 0].size, dtype=np.float32).reshape(rgb_hw3.shape[:2])
        return CoarseDepth(map_hw * (np.nan if grey == NAN_COARSE else 1), self.kind, grey)

    def caption(self, rgb_hw3: ByteImage, given: str | None) -> None:
        return None

    def refine(self, scene: RefinementInput) -> Members:
        poisoned = np.nan if scene.coarse.features == NAN_REFINED else 1
        return Members((scene.coarse.map_hw * np.float32(poisoned))[None])


class Loader:
    """Picklable: what an actor loads instead of models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, settings: LabelSettings) -> StagedLabeller:
        from redepth.labelling.labeller import Labeller
        from redepth.labelling.stages import StagedLabeller

        models = PoisonedModels(self.folder)
        return StagedLabeller(Labeller(settings, models, models, "cpu"), num_decoders=2)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where every attempt at an image leaves its time, under its grey."""
    return tmp_path_factory.mktemp("begun")


@pytest.fixture(scope="module")
def ended_at() -> dict[str, float]:
    return {}


@pytest.fixture(scope="module")
def labels(
    tmp_path_factory: pytest.TempPathFactory, begun: Path, ended_at: dict[str, float]
) -> Iterator[Labels]:
    """Label good and poisoned pictures of one shard on two actors, and commit them."""
    photos, out = tmp_path_factory.mktemp("photos"), str(tmp_path_factory.mktemp("out"))
    greys = POISON | {f"good-{i:02}": GOOD + i for i in range(NUM_GOOD)}
    for name, grey in greys.items():
        Image.new("RGB", (20, 18), (grey, grey, grey)).save(photos / f"{name}.png")
    actors = Actors(num_actors=2, num_cpus=0.5, image_timeout_s=TIMEOUT_S)
    recipe = Recipe(name="test", run=RunSettings(actors=actors))
    plan = plan_labels(list_images(str(photos)), out, recipe)
    assert plan.manifest is not None and plan.num_shards == 1
    (shard,) = read_shard_plans(plan.manifest, 0, 1)
    with ray_session(None, actors), ActorPool(recipe, Loader(begun)) as pool:
        begin(out, recipe, pool.cards)
        futures = []
        for image in shard.images:
            future = pool.submit(image)
            future.add_done_callback(partial(note_end, ended_at, Path(image.uri).stem))
            futures.append(future)
        labelled = [future.result(timeout=200) for future in futures]
        pool.commit(out, shard, labelled, recipe.labels.storage)
    yield open_labels(out)


def note_end(ended_at: dict[str, float], name: str, _: Future[LabelledImage]) -> None:
    ended_at[name] = time.time()


def row(labels: Labels, name: str) -> LabelRow:
    return labels[labels.find(f"{name}.png")].row


@pytest.mark.parametrize(
    ("name", "outcome", "reason", "attempts"),
    [
        ("segfault", Outcome.FAILED, "its process died, 2 times in a row", 2),
        ("exit", Outcome.FAILED, "its process died, 2 times in a row", 2),
        ("hang", Outcome.FAILED, "took longer than 8 s (run.actors.image_timeout_s)", 1),
        ("memory", Outcome.FAILED, "MemoryError", 1),
        ("nan-coarse", Outcome.FAILED, "the coarse model's map is not finite", 1),
        ("nan-refined", Outcome.FELL_BACK, "not finite", 1),
    ],
)
def test_each_is_recorded_with_its_reason(
    labels: Labels, name: str, outcome: Outcome, reason: str, attempts: int
) -> None:
    found = row(labels, name)
    assert found.outcome is outcome
    assert reason in (found.reason or "")
    # A poisoned image may have been begun once more, beside another one that killed the process.
    assert attempts <= found.attempts <= attempts + 1


def test_the_neighbours_are_unharmed_and_done_again_once_at_most(
    labels: Labels, begun: Path
) -> None:
    for i in range(NUM_GOOD):
        assert row(labels, f"good-{i:02}").outcome is Outcome.REFINED
        assert len((begun / f"{GOOD + i}").read_text().splitlines()) <= 2
    assert verify_labels(labels.url).problems == ()


def test_the_time_out_holds_within_a_tenth(
    labels: Labels, begun: Path, ended_at: dict[str, float]
) -> None:
    began = float((begun / f"{HANG}").read_text().splitlines()[-1])
    assert 0.9 * TIMEOUT_S <= ended_at["hang"] - began <= 1.1 * TIMEOUT_S
