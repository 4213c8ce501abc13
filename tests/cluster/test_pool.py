"""What the pool makes of everything that can happen to a call, on real Ray actors."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import psutil
import pytest
import ray
from ray import cloudpickle

from redepth.cluster.calls import LabelledImage
from redepth.cluster.pool import NUM_WRITERS, ActorPool
from redepth.cluster.session import ray_session
from redepth.config import Actors, LabelSettings, Recipe, RunSettings, Storage
from redepth.errors import ConfigError, DeviceLost, MemoryShared, RunStopped, TransientError
from redepth.labelling.preparing import Prepared
from redepth.labelling.work import Work
from redepth.store.manifest import ShardPlan
from redepth.store.shards import ShardCommit
from redepth.types import (
    DepthKind,
    ImageRef,
    Label,
    LabelArrays,
    LabelRow,
    ModelCard,
    Outcome,
)

pytestmark = pytest.mark.slow
cloudpickle.register_pickle_by_value(sys.modules[__name__])

TIMEOUT_S = 3.0
CARD = ModelCard("coarse", "fake", "a test", None, "0" * 64, "none", untrained=True)


class ScriptedLabeller:
    """Does what the image's id says; `folder` remembers attempts over the process's deaths."""

    cards = (CARD,)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def label(self, image: ImageRef, before: LabelRow | None, work: Work) -> Label:
        self._remember(image)
        action = image.id.split("-")[0]
        if action == "same" and before is not None:
            return Label(before)
        if action == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if action == "crashonce" and self.attempts(image) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        self._raise(action, image)
        stand_still(action, work)
        if action == "slow":
            time.sleep(0.3)
        while action == "meet" and len(list(self.folder.glob("meet-*"))) < 2:
            time.sleep(0.01)
        shape = (2, 3)
        maps = [np.full(shape, value, np.float32) for value in range(4)]
        row = LabelRow(
            id=image.id,
            uri=image.uri,
            outcome=Outcome.REFINED,
            height_px=2,
            width_px=3,
            kind=DepthKind.AFFINE_DISPARITY,
        )
        return Label(row, LabelArrays.of_depth(maps[0], maps[1], maps[2], maps[3]))

    @property
    def preparer(self) -> NoReturn:
        raise ConfigError("photographs cannot be prepared elsewhere")

    def label_prepared(self, prepared: Prepared | Label, work: Work) -> NoReturn:
        raise NotImplementedError

    def _raise(self, action: str, image: ImageRef) -> None:
        if action == "bug":
            raise ZeroDivisionError("one over nothing")
        if action == "config":
            raise ConfigError("no rights to read the bucket; ask for them")
        if action == "flaky" and self.attempts(image) < 3:
            raise TransientError("503 slow down")
        if action == "dead":
            raise TransientError("503 for ever")
        if action == "large" and self.attempts(image) == 1:
            raise MemoryShared("no room for 2 GB beside others")
        if action == "gpu" and self.attempts(image) == 1:
            raise DeviceLost("CUDA error: device-side assert triggered")

    def attempts(self, image: ImageRef) -> int:
        return len((self.folder / image.id).read_text())

    def _remember(self, image: ImageRef) -> None:
        with (self.folder / image.id).open("a") as file:
            file.write("x")


def stand_still(action: str, work: Work) -> None:
    if action == "hang":
        time.sleep(3600)
    if action == "stuck":  # in C, without letting go of Python
        ctypes.PyDLL(None).sleep(3600)
    if action == "patient":  # for twice as long as it may work
        work.wait()
        time.sleep(2 * TIMEOUT_S)
        work.go_on()


class Loader:
    """Picklable: what an actor loads instead of models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, settings: LabelSettings) -> ScriptedLabeller:
        if settings.seed == 13:
            raise ConfigError("weights are not there; give a folder")
        if settings.seed == 14:
            os.kill(os.getpid(), signal.SIGKILL)
        if settings.seed == 15 and list(self.folder.iterdir()):
            raise ConfigError("weights were removed meanwhile")
        return ScriptedLabeller(self.folder)


@pytest.fixture(scope="module", autouse=True)
def private_ray() -> Iterator[None]:
    with ray_session(None, Actors(num_actors=2, num_cpus=0.5)):
        yield


def recipe(seed: int = 0, num_actors: int = 2) -> Recipe:
    actors = Actors(num_actors=num_actors, num_cpus=0.5, image_timeout_s=TIMEOUT_S)
    return Recipe(name="test", labels=LabelSettings(seed=seed), run=RunSettings(actors=actors))


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[ActorPool]:
    with ActorPool(recipe(), Loader(tmp_path)) as pool:
        yield pool


def label(pool: ActorPool, *ids: str) -> dict[str, LabelledImage]:
    futures = {image_id: pool.submit(ImageRef(image_id, f"/{image_id}")) for image_id in ids}
    return {image_id: future.result(timeout=60) for image_id, future in futures.items()}


def test_many_images_each_get_their_own_label(pool: ActorPool) -> None:
    ids = [f"ok-{i}" for i in range(50)]
    done = label(pool, *ids)
    assert [done[i].row.id for i in ids] == ids
    assert {image.row.outcome for image in done.values()} == {Outcome.REFINED}
    arrays = ray.get(done["ok-7"].arrays)
    assert np.array_equal(arrays["refined"], np.full((2, 3), 1, np.float32))
    assert pool.cards == (CARD,)


def test_a_label_that_is_kept_comes_back_as_it_was_without_arrays(pool: ActorPool) -> None:
    before = LabelRow(
        id="same-1", uri="/x", outcome=Outcome.REFINED, attempts=3, seconds=9.0, array_group="s-0"
    )
    kept = pool.submit(ImageRef("same-1", "/x"), before).result(timeout=60)
    assert (kept.row, kept.arrays) == (before, None)
    other = replace(before, id="ok-1")
    made = pool.submit(ImageRef("ok-1", "/x"), other).result(timeout=60)
    assert made.arrays is not None and made.row.array_group is None
    assert made.row.attempts == 1


def test_an_actor_with_nothing_to_do_comes_before_a_second_call(tmp_path: Path) -> None:
    """Two images that wait for each other: behind each other they would wait for ever."""
    patient = recipe()
    actors = patient.run.actors.model_copy(update={"image_timeout_s": 60.0})
    patient = patient.model_copy(update={"run": patient.run.model_copy(update={"actors": actors})})
    with ActorPool(patient, Loader(tmp_path)) as pool:
        while any(slot.restarting for slot in pool._slots):  # else both go to the one that is ready
            time.sleep(0.1)
        done = label(pool, "meet-0", "meet-1")
    assert {image.row.outcome for image in done.values()} == {Outcome.REFINED}


def test_after_its_end_a_pool_commits_nothing(tmp_path: Path) -> None:
    out, plan = tmp_path / "out", ShardPlan("a" * 16, "a" * 16, (ImageRef("ok-1", "/ok-1"),))
    with ActorPool(recipe(), Loader(tmp_path)) as pool:
        done = label(pool, "ok-1")
    with pytest.raises(RunStopped):
        pool.commit(str(out), plan, list(done.values()), Storage())
    assert not out.exists()


def test_image_that_kills_its_actor_fails_and_its_neighbours_do_not(
    pool: ActorPool, tmp_path: Path
) -> None:
    neighbours = [f"slow-{i}" for i in range(8)]
    done = label(pool, *neighbours[:4], "crash-1", *neighbours[4:])
    guilty = done["crash-1"].row
    assert guilty.outcome is Outcome.FAILED
    assert guilty.attempts == 2
    assert guilty.reason is not None and "process died, 2 times" in guilty.reason
    for name in neighbours:
        assert done[name].row.outcome is Outcome.REFINED
        assert len((tmp_path / name).read_text()) <= 2, "a neighbour is done again once at most"


def test_image_whose_actor_dies_once_is_labelled(pool: ActorPool) -> None:
    row = label(pool, "crashonce-1")["crashonce-1"].row
    assert (row.outcome, row.attempts) == (Outcome.REFINED, 2)


def test_stuck_call_is_ended_in_time_and_the_actor_is_used_again(pool: ActorPool) -> None:
    started = time.monotonic()
    done = label(pool, "hang-1", "ok-1", "ok-2", "ok-3", "ok-4")
    took = time.monotonic() - started
    assert done["hang-1"].row.outcome is Outcome.FAILED
    assert "longer than 3 s" in (done["hang-1"].row.reason or "")
    assert all(done[f"ok-{i}"].row.outcome is Outcome.REFINED for i in range(1, 5))
    assert TIMEOUT_S <= took < TIMEOUT_S + 10
    assert label(pool, "ok-5", "ok-6", "ok-7")["ok-7"].row.outcome is Outcome.REFINED


def test_several_that_are_stuck_at_once_are_told_from_their_neighbours(
    pool: ActorPool, tmp_path: Path
) -> None:
    ids = ["hang-1", "hang-2", "hang-3", "slow-1", "slow-2", "ok-1"]
    done = label(pool, *ids)
    for name in ids:
        is_stuck = name.startswith("hang")
        assert (done[name].row.outcome is Outcome.FAILED) is is_stuck
        assert len((tmp_path / name).read_text()) <= 2, "begun twice at most"
        if is_stuck:
            assert "longer than 3 s" in (done[name].row.reason or "")


def test_a_call_that_holds_python_itself_is_ended_too(pool: ActorPool) -> None:
    done = label(pool, "stuck-1", "ok-1", "slow-1")
    assert "longer than 3 s" in (done["stuck-1"].row.reason or "")
    assert done["slow-1"].row.outcome is done["ok-1"].row.outcome is Outcome.REFINED


def test_waiting_for_others_is_not_taking_long(pool: ActorPool) -> None:
    row = label(pool, "patient-1")["patient-1"].row
    assert (row.outcome, row.attempts) == (Outcome.REFINED, 1)


def test_what_ran_out_of_memory_beside_others_is_done_again_alone(pool: ActorPool) -> None:
    done = label(pool, "large-1", "slow-1", "slow-2", "slow-3")
    row = done["large-1"].row
    assert (row.outcome, row.attempts) == (Outcome.REFINED, 2)
    assert max(image.row.attempts for name, image in done.items() if name != "large-1") == 1


def test_a_gpu_that_is_lost_costs_a_process_and_no_image(pool: ActorPool) -> None:
    done = label(pool, "gpu-1", "slow-1", "slow-2")
    assert {image.row.outcome for image in done.values()} == {Outcome.REFINED}
    assert done["gpu-1"].row.attempts == 2


def test_bug_in_the_refiner_is_the_images_own_failure(pool: ActorPool) -> None:
    done = label(pool, "bug-1", "ok-1")
    assert done["bug-1"].row.outcome is Outcome.FAILED
    assert done["bug-1"].row.reason == "ZeroDivisionError: one over nothing"
    assert done["bug-1"].row.attempts == 1
    assert done["ok-1"].row.outcome is Outcome.REFINED


class TestTransientErrors:
    @pytest.fixture(autouse=True)
    def impatience(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("redepth.cluster.calls.TRANSIENT_DELAYS_S", (0.1, 0.2, 0.3))

    def test_passing_one_is_forgotten(self, pool: ActorPool) -> None:
        assert label(pool, "flaky-1")["flaky-1"].row.attempts == 3

    def test_lasting_one_is_the_images_failure_while_others_come_through(
        self, pool: ActorPool
    ) -> None:
        done = label(pool, "dead-1", "ok-1", "ok-2")
        row = done["dead-1"].row
        assert (row.outcome, row.attempts) == (Outcome.FAILED, 4)
        assert "503 for ever" in (row.reason or "")
        assert done["ok-2"].row.outcome is Outcome.REFINED

    def test_lasting_one_is_the_storages_failure_when_nothing_comes_through(
        self, pool: ActorPool
    ) -> None:
        with pytest.raises(TransientError, match="503 for ever"):
            label(pool, "dead-1")


def test_config_error_ends_the_run_with_its_own_words(pool: ActorPool) -> None:
    with pytest.raises(ConfigError, match="ask for them"):
        label(pool, "config-1")


def test_models_that_do_not_load_end_the_run_before_it_starts(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="weights are not there"),
        ActorPool(recipe(seed=13), Loader(tmp_path)),
    ):
        pass


def test_actor_that_dies_loading_ends_the_run_before_it_starts(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="died again and again while it loaded the models"),
        ActorPool(recipe(seed=14, num_actors=1), Loader(tmp_path)),
    ):
        pass


def test_actor_that_cannot_be_had_again_ends_the_run(tmp_path: Path) -> None:
    with (
        ActorPool(recipe(seed=15, num_actors=1), Loader(tmp_path)) as pool,
        pytest.raises(ConfigError, match="removed meanwhile"),
    ):
        label(pool, "crash-1", "ok-1")


def test_suspect_does_not_wait_behind_everybody(pool: ActorPool) -> None:
    futures = {
        image_id: pool.submit(ImageRef(image_id, f"/{image_id}"))
        for image_id in ("crashonce-1", *(f"slow-{i}" for i in range(60)))
    }
    futures["crashonce-1"].result(timeout=60)
    assert sum(future.done() for future in futures.values()) < 50


def test_closing_frees_whoever_waits(tmp_path: Path) -> None:
    with ActorPool(recipe(num_actors=1), Loader(tmp_path)) as pool:
        futures = [pool.submit(ImageRef(f"hang-{i}", "/x")) for i in range(5)]
        time.sleep(0.5)
    for future in futures:
        assert isinstance(future.exception(timeout=5), RunStopped)
    with pytest.raises(RunStopped):
        pool.submit(ImageRef("late", "/late")).result(timeout=1)


def test_actor_killed_from_outside_costs_nothing(pool: ActorPool) -> None:
    futures = [pool.submit(ImageRef(f"slow-{i}", f"/slow-{i}")) for i in range(60)]
    time.sleep(0.7)
    ours = psutil.Process().children(recursive=True)
    actors = [p for p in ours if "ray::LabelActor" in " ".join(p.cmdline())]
    assert actors
    actors[0].kill()
    rows = [future.result(timeout=60).row for future in futures]
    assert {row.outcome for row in rows} == {Outcome.REFINED}
    assert max(row.attempts for row in rows) == 2


def writers() -> dict[int, psutil.Process]:
    ours = psutil.Process().children(recursive=True)
    return {p.pid: p for p in ours if "ray::ShardWriter" in " ".join(p.cmdline())}


def commit(pool: ActorPool, out: Path, image_id: str) -> ShardCommit:
    labelled = list(label(pool, image_id).values())
    plan = ShardPlan(image_id, image_id, (ImageRef(image_id, f"/{image_id}"),))
    return pool.commit(str(out), plan, labelled, Storage())


def test_writers_stay_and_one_that_was_killed_is_replaced(pool: ActorPool, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    for number in range(4):
        assert commit(pool, out, f"ok-{number}").outcomes[Outcome.REFINED] == 1
    before = writers()
    time.sleep(3.0)  # Ray ends what idles for a second where no core is left for it
    assert writers().keys() == before.keys() and len(before) == NUM_WRITERS
    for process in before.values():
        process.kill()
    for number in range(4, 8):
        assert commit(pool, out, f"ok-{number}").outcomes[Outcome.REFINED] == 1
    assert len(list((out / "labels").glob("*.parquet"))) == 8
