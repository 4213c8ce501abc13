"""Decoders of their own: the same labels, and whatever happens to one is of one image alone."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
import ray
from PIL import Image
from ray import cloudpickle

from redepth.cluster.calls import LabelledImage
from redepth.cluster.pool import ActorPool
from redepth.cluster.session import ray_session
from redepth.config import Actors, LabelSettings, Recipe, RunSettings, load_recipe
from redepth.errors import ConfigError, TransientError
from redepth.geometry.sizes import UpperBound
from redepth.images.allowed import Allowed
from redepth.labelling.preparing import Prepared, Preparer
from redepth.types import (
    ByteImage,
    CoarseDepth,
    DepthKind,
    ImageRef,
    Label,
    LabelRow,
    Members,
    ModelCard,
    Outcome,
)

if TYPE_CHECKING:
    from redepth.labelling.stages import StagedLabeller
    from redepth.labelling.work import Work
    from redepth.refiners.refiner import RefinementInput

# The others take minutes of waiting: `make test-cluster` has them.
FIRST = pytest.mark.slow
OTHER = pytest.mark.cluster
cloudpickle.register_pickle_by_value(sys.modules[__name__])

TIMEOUT_S = 8.0
PATIENCE_S = 100.0
SIDE_PX = 200  # more bytes than Ray sends without its store
CARD = ModelCard("coarse", "fake", "a test", None, "0" * 64, "none", untrained=True)


@dataclass(frozen=True)
class ScriptedPreparer(Preparer):
    """Prepares photographs, and does first what their names say; `folder` counts the tries."""

    folder: Path = Path()

    def prepare(self, ref: ImageRef, before: LabelRow | None = None) -> Prepared | Label:
        with (self.folder / f"decoded-{ref.id}").open("a") as file:
            file.write("x")
        action = ref.id.split("-")[0]
        if action == "segfault" or (action == "crashonce" and self.tries(ref.id) == 1):
            ctypes.string_at(0)
        if action == "exit":
            os._exit(3)
        if action == "hang":
            time.sleep(3600)
        if action == "stuck":  # in C, without letting go of Python
            ctypes.PyDLL(None).sleep(3600)
        if action == "memory":
            take_all_memory()
        if action == "flaky" and self.tries(ref.id) == 1:
            raise TransientError("503 slow down")
        if action == "config":
            raise ConfigError("no rights to read the bucket; ask for them")
        if action == "torch":
            raise RuntimeError(f"models here: {sorted({'torch', 'diffusers'} & set(sys.modules))}")
        if action == "halfway":
            time.sleep(0.7 * TIMEOUT_S)
        return super().prepare(ref, before)

    def tries(self, image_id: str) -> int:
        return len((self.folder / f"decoded-{image_id}").read_text())


def take_all_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + (1 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    np.ones(2 << 30, np.uint8)


class Models:
    """A coarse model and a refiner; they wait as long as `folder` has a file `closed`."""

    card = CARD
    cards = ()
    kind = DepthKind.AFFINE_DISPARITY
    processing_size = UpperBound(SIDE_PX, 1)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        while (self.folder / "closed").exists():
            time.sleep(0.01)
        rgb_hw3 += 1  # Ray's own arrays refuse that
        return CoarseDepth(rgb_hw3.mean(axis=2, dtype=np.float32), self.kind)

    def caption(self, rgb_hw3: ByteImage, given: str | None) -> None:
        if int(rgb_hw3[0, 0, 0]) == 1:  # black; worked on in a decoder and here
            time.sleep(0.7 * TIMEOUT_S)

    def refine(self, scene: RefinementInput) -> Members:
        return Members(scene.coarse.map_hw[None])


class ScriptedLabeller:
    """A staged labeller whose preparer is scripted."""

    cards = (CARD,)

    def __init__(self, staged: StagedLabeller, folder: Path) -> None:
        self._staged = staged
        real = staged.preparer
        self.preparer = ScriptedPreparer(real.decoding, real.processing_size, real.allowed, folder)

    def label(self, ref: ImageRef, before: LabelRow | None, work: Work) -> Label:
        return self._staged.label(ref, before, work)

    def label_prepared(self, prepared: Prepared | Label, work: Work) -> Label:
        return self._staged.label_prepared(prepared, work)


class Loader:
    """Picklable: what an actor loads instead of models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, settings: LabelSettings) -> ScriptedLabeller:
        from redepth.labelling.labeller import Labeller
        from redepth.labelling.stages import StagedLabeller

        models = Models(self.folder)
        labeller = Labeller(settings, models, models, "cpu")
        return ScriptedLabeller(StagedLabeller(labeller, num_decoders=1), self.folder)


def actors(**changes: object) -> Actors:
    given = {"num_actors": 1, "num_cpus": 0.5, "num_decoders": 2, "image_timeout_s": TIMEOUT_S}
    return Actors.model_validate(given | changes)


@pytest.fixture(scope="module", autouse=True)
def private_ray() -> Iterator[None]:
    with ray_session(None, actors(num_decoders=4)):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tries")


@pytest.fixture(scope="module")
def pool(folder: Path) -> Iterator[ActorPool]:
    recipe = Recipe(name="test", run=RunSettings(actors=actors()))
    with ActorPool(recipe, Loader(folder)) as pool:
        yield pool


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "a.png"
    pixels = np.random.default_rng(0).integers(9, 200, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def label(pool: ActorPool, photograph: Path, *ids: str) -> dict[str, LabelledImage]:
    futures = {image_id: pool.submit(ImageRef(image_id, str(photograph))) for image_id in ids}
    return {image_id: future.result(timeout=PATIENCE_S) for image_id, future in futures.items()}


def tries(folder: Path, image_id: str) -> int:
    return len((folder / f"decoded-{image_id}").read_text())


@pytest.mark.parametrize(
    ("action", "reason", "attempts"),
    [
        pytest.param(
            "segfault", "while it was decoded, its process died, 2 times in a row", 2, marks=FIRST
        ),
        pytest.param(
            "exit", "while it was decoded, its process died, 2 times in a row", 2, marks=OTHER
        ),
        pytest.param("hang", "took longer than 8 s (run.actors.image_timeout_s)", 1, marks=OTHER),
        pytest.param("stuck", "took longer than 8 s (run.actors.image_timeout_s)", 1, marks=OTHER),
        pytest.param("memory", "MemoryError", 1, marks=OTHER),
        pytest.param("torch", "models here: []", 1, marks=OTHER),
    ],
)
def test_poison_in_a_decoder_is_its_own_images_failure(
    pool: ActorPool, photograph: Path, folder: Path, action: str, reason: str, attempts: int
) -> None:
    poison, good = f"{action}-0", [f"good-{action}-{number}" for number in range(6)]
    done = label(pool, photograph, *good[:3], poison, *good[3:])
    row = done[poison].row
    assert (row.outcome, row.attempts) == (Outcome.FAILED, attempts)
    assert reason in (row.reason or "")
    for name in good:
        assert done[name].row.outcome is Outcome.REFINED
        # One that had just ended may lose its answer with the process that went on to the poison.
        assert done[name].row.attempts <= 2 and tries(folder, name) <= 2, "begun twice at most"
    assert sum(tries(folder, name) for name in good) <= len(good) + 2, "no other is touched"


@OTHER
@pytest.mark.parametrize("action", ["crashonce", "flaky"])
def test_what_fails_once_is_decoded_again(
    pool: ActorPool, photograph: Path, folder: Path, action: str
) -> None:
    row = label(pool, photograph, f"{action}-1")[f"{action}-1"].row
    assert (row.outcome, row.attempts) == (Outcome.REFINED, 2)
    assert tries(folder, f"{action}-1") == 2


@OTHER
def test_a_fault_of_the_run_in_a_decoder_ends_the_run(pool: ActorPool, photograph: Path) -> None:
    with pytest.raises(ConfigError, match="ask for them"):
        label(pool, photograph, "config-1")


@OTHER
def test_seconds_in_the_decoder_count_against_the_limit(pool: ActorPool, tmp_path: Path) -> None:
    black = tmp_path / "black.png"
    Image.new("RGB", (SIDE_PX, SIDE_PX)).save(black)
    row = label(pool, black, "halfway-1")["halfway-1"].row
    assert "took longer than 8 s" in (row.reason or ""), "0.7 of it here and 0.7 there"
    assert label(pool, black, "good-black")["good-black"].row.outcome is Outcome.FELL_BACK


@OTHER
def test_a_decoder_killed_from_outside_costs_nothing(pool: ActorPool, photograph: Path) -> None:
    futures = [pool.submit(ImageRef(f"many-{i}", str(photograph))) for i in range(60)]
    futures[5].result(timeout=PATIENCE_S)
    decoders = processes("ray::PhotographDecoder")
    assert len(decoders) == 2
    decoders[0].kill()
    rows = [future.result(timeout=PATIENCE_S).row for future in futures]
    assert {row.outcome for row in rows} == {Outcome.REFINED}
    assert sum(row.attempts for row in rows) <= len(rows) + 1, "it was at one photograph"


@OTHER
def test_an_actor_killed_from_outside_has_no_image_decoded_again(
    pool: ActorPool, photograph: Path, folder: Path
) -> None:
    ids = [f"survivor-{number}" for number in range(12)]
    (folder / "closed").touch()
    futures = [pool.submit(ImageRef(image_id, str(photograph))) for image_id in ids]
    wait_until(lambda: pool._slots[0].calls)
    (process,) = processes("ray::LabelActor")
    process.kill()
    (folder / "closed").unlink()
    rows = [future.result(timeout=PATIENCE_S).row for future in futures]
    assert {row.outcome for row in rows} == {Outcome.REFINED}
    assert max(row.attempts for row in rows) == 2
    assert {tries(folder, image_id) for image_id in ids} == {1}


@OTHER
def test_what_is_decoded_and_not_yet_labelled_is_bounded(
    pool: ActorPool, photograph: Path, folder: Path
) -> None:
    ids = [f"bounded-{number}" for number in range(40)]
    (folder / "closed").touch()
    futures = [pool.submit(ImageRef(image_id, str(photograph))) for image_id in ids]
    wait_until(lambda: len(pool._waiting) >= 2)
    time.sleep(1.0)  # more than decoding all forty of them takes
    assert sum((folder / f"decoded-{image_id}").exists() for image_id in ids) <= pool.num_calls
    assert pool.num_calls < len(ids)
    (folder / "closed").unlink()
    assert {f.result(timeout=PATIENCE_S).row.outcome for f in futures} == {Outcome.REFINED}


def processes(name: str) -> list[psutil.Process]:
    ours = psutil.Process().children(recursive=True)
    return [process for process in ours if name in " ".join(process.cmdline())]


def wait_until(condition: object) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@OTHER
def test_no_room_for_a_decoder_is_said(tmp_path: Path) -> None:
    cores = ray.available_resources()["CPU"]
    full = actors(num_cpus=cores, num_decoders=1, start_timeout_s=15.0)
    recipe = Recipe(name="test", run=RunSettings(actors=full))
    with (
        pytest.raises(ConfigError, match="none of 1 decoders of one CPU was ready"),
        ActorPool(recipe, Loader(tmp_path)),
    ):
        pass


@FIRST
def test_labels_are_equal_bytes_with_any_number_of_decoders(tmp_path: Path) -> None:
    """With real models; what may not be read is rejected in the same words."""
    photos, secret = tmp_path / "photos", tmp_path / "secret"
    for folder in (photos, secret):
        folder.mkdir()
    rng = np.random.default_rng(1)
    for number in range(6):
        size = (60, 90, 3) if number % 3 else (90, 60, 3)
        pixels = rng.integers(0, 255, size, dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{number}.png")
    (photos / "notes.jpg").write_text("no photograph")
    Image.new("RGB", (64, 64)).save(secret / "private.png")
    Image.effect_noise((300, 300), 90).save(photos / "large.png")
    names = [*sorted(photos.iterdir()), secret / "private.png"]
    refs = [ImageRef(path.name, str(path)) for path in names]
    allowed = Allowed((str(photos),), "list", "--allow ROOT")
    found = [labelled_with(number, refs, allowed) for number in (0, 1, 3)]
    assert found[1] == found[0] and found[2] == found[0]
    outcomes = [row.outcome for row, _ in found[0].values()]
    assert outcomes.count(Outcome.REFINED) == 6 and outcomes.count(Outcome.REJECTED) == 3


def labelled_with(
    num_decoders: int, refs: list[ImageRef], allowed: Allowed
) -> dict[str, tuple[LabelRow, dict[str, bytes]]]:
    recipe = load_recipe(
        "mini-coarse",
        ("labels.coarse.size_px=56", "labels.coarse.weights.seed=0", "run.actors.num_actors=1",
         "labels.decoding.max_bytes=60000", f"run.actors.num_decoders={num_decoders}"),
    )  # fmt: skip
    with ActorPool(recipe, allowed=allowed) as pool:
        futures = [pool.submit(ref) for ref in refs]
        done = [future.result(timeout=PATIENCE_S) for future in futures]
        return {image.row.id: (without_seconds(image.row), maps_of(image)) for image in done}


def without_seconds(row: LabelRow) -> LabelRow:
    return replace(row, seconds=None, read_seconds=None, waited_seconds=None, model_seconds=None)


def maps_of(image: LabelledImage) -> dict[str, bytes]:
    arrays = {} if image.arrays is None else ray.get(image.arrays)
    return {name: values.tobytes() for name, values in arrays.items()}
