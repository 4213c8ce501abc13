"""Two thousand images on several Ray nodes while workers, a node and the driver are killed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from ray.cluster_utils import Cluster

from redepth.config import load_recipe
from redepth.images.collection import list_images
from redepth.labelling.labeller import label_shard, load_labeller
from redepth.store.catalogue import fragment_names
from redepth.store.dataset import begin
from redepth.store.manifest import read_shard_plans
from redepth.store.objects import open_objects
from redepth.store.planning import plan_labels
from redepth.store.reader import open_labels
from redepth.store.shards import write_shard
from redepth.store.verification import Verification, verify_labels

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]

REDEPTH = Path(sys.executable).with_name("redepth")
NUM_IMAGES = 2000
PER_SHARD = 20
KILL_EVERY_S = 5.0
LOOK_EVERY_S = 0.5
BUSY_SHARE = 0.1  # of a core
AT_WORK_S = 1.5
PAUSE_S = 5.0  # after the loss of a node: what ran there is tried again on the other one
DRIVER_KILLED_AT = (20, 45, 70)  # fragments
NODE_LOST_AT = 30
MAX_DRIVERS = 12
SETTINGS = (
    "labels.coarse.size_px=56",
    "labels.coarse.weights.seed=0",
    f"run.sharding.images_per_shard={PER_SHARD}",
)
MARK = "REDEPTH_CHAOS"


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Mark every process that this test starts, and leave none behind."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    yield mark
    for process in marked(mark):
        process.kill()


def marked(mark: str, name: str = "") -> list[psutil.Process]:
    """Return the processes with this mark in their environment and this name on their line."""
    return [p for p in psutil.process_iter(["cmdline"]) if _is_marked(p, mark, name)]


def _is_marked(process: psutil.Process, mark: str, name: str) -> bool:
    try:
        is_ours = process.environ().get(MARK) == mark and process.pid != os.getpid()
    except psutil.Error:
        return False
    return is_ours and name in " ".join(process.info["cmdline"] or [])


@pytest.fixture
def cluster(ours: str) -> Iterator[Cluster]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for i in range(NUM_IMAGES):
        pixels = np.random.default_rng(i).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(folder / f"{i:04d}.png")
    return folder


@pytest.fixture(scope="module")
def quiet(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Verification:
    """Label them in one process, with nothing that could go wrong."""
    out = str(tmp_path_factory.mktemp("quiet"))
    recipe = load_recipe("mini-coarse", SETTINGS)
    labeller = load_labeller(recipe.labels)
    plan = plan_labels(list_images(str(photographs)), out, recipe)
    begin(out, recipe, labeller.cards)
    assert plan.manifest is not None
    for shard in read_shard_plans(plan.manifest, 0, plan.num_shards):
        write_shard(out, shard, label_shard(labeller, shard.images), recipe.labels.storage)
    return verify_labels(out)


class Killer:
    """SIGKILLs a worker every few seconds, and keeps count: an actor at work, or any other one.

    Every third victim at least is an actor while it labels: where the share would fall below that,
    it waits for one. An actor is at work when its title is past loading (`.ready`: on a slow
    machine that takes longer than a worker has to live) and its process computes, as nothing but
    models does in there. For a while, too: an image that another death made a suspect is through
    by then, and a second death in a row would be taken for the image's own doing.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._draws = random.Random(0)
        self._seen: dict[psutil.Process, float] = {}  # seconds of CPU
        self._busy_since: dict[psutil.Process, float] = {}
        self._not_before = 0.0
        self.actors_at_work = 0
        self.others: list[str] = []

    @property
    def num_killed(self) -> int:
        return self.actors_at_work + len(self.others)

    def pause(self, seconds: float) -> None:
        """Kill nobody for a while."""
        self._not_before = time.monotonic() + seconds

    def run(self, ended: threading.Event) -> None:
        due = time.monotonic() + KILL_EVERY_S
        while not ended.wait(LOOK_EVERY_S):
            self._look()
            if time.monotonic() >= max(due, self._not_before) and self._kill():
                due = time.monotonic() + KILL_EVERY_S

    def _look(self) -> None:
        """Learn which actors have computed since the last look."""
        seen, now = {}, time.monotonic()
        for process in marked(self._mark, "ray::LabelActor"):
            with suppress(psutil.Error):
                seen[process] = process.cpu_times().user
        self._busy_since = {
            process: self._busy_since.get(process, now)
            for process, seconds in seen.items()
            if not is_loading(process)
            and seconds - self._seen.get(process, seconds) > BUSY_SHARE * LOOK_EVERY_S
        }
        self._seen = seen

    def _kill(self) -> bool:
        long_ago = time.monotonic() - AT_WORK_S
        at_work = [process for process, since in self._busy_since.items() if since < long_ago]
        others = [p for p in marked(self._mark, "ray::") if not is_loading(p) and p not in at_work]
        is_due = 3 * self.actors_at_work < self.num_killed + 1
        if at_work and (is_due or self._draws.random() < len(at_work) / len([*at_work, *others])):
            self.actors_at_work += was_killed(self._draws.choice(at_work))
        elif others and not is_due:
            chosen = self._draws.choice(others)
            self.others += [chosen.info["cmdline"][0]] * was_killed(chosen)
        else:
            return False
        return True


def was_killed(process: psutil.Process) -> bool:
    """Kill a process, if it still is there."""
    with suppress(psutil.NoSuchProcess):
        process.kill()
        return True
    return False


def is_loading(process: psutil.Process) -> bool:
    """Whether an actor has not come further than its models."""
    return any(step in process.info["cmdline"][0] for step in (".__init__", ".ready"))


@contextmanager
def killing_workers(mark: str) -> Iterator[Killer]:
    """Kill workers as long as the block runs."""
    killer, ended = Killer(mark), threading.Event()
    thread = threading.Thread(target=killer.run, args=(ended,))
    thread.start()
    try:
        yield killer
    finally:
        ended.set()
        thread.join()


def start(photographs: Path, out: Path, cluster: Cluster, home: Path) -> subprocess.Popen[bytes]:
    command = [
        REDEPTH, "label", photographs, "--out", out, "--recipe=mini-coarse", "--actors=2",
        "--ray", cluster.address, *(f"--set={setting}" for setting in SETTINGS),
    ]  # fmt: skip
    with (home / "said").open("ab") as said:
        return subprocess.Popen(
            [*map(str, command)],
            env=os.environ | {"PREFECT_HOME": str(home)},
            stdout=said,
            stderr=subprocess.STDOUT,
        )


def test_nothing_is_lost_and_nothing_is_there_twice(
    cluster: Cluster, ours: str, photographs: Path, quiet: Verification, tmp_path: Path
) -> None:
    out, home = tmp_path / "labels", tmp_path / "prefect"
    home.mkdir()
    lost = cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    to_kill, node_is_lost = list(DRIVER_KILLED_AT), False
    codes: list[int] = []
    with killing_workers(ours) as killer:
        while codes[-1:] != [0]:
            assert len(codes) < MAX_DRIVERS, (codes, (home / "said").read_text())
            driver = start(photographs, out, cluster, home)
            while driver.poll() is None:
                num_parts = len(fragment_names(open_objects(str(out))))
                if to_kill and num_parts >= to_kill[0]:
                    to_kill.pop(0)
                    driver.kill()
                if num_parts >= NODE_LOST_AT and not node_is_lost:
                    killer.pause(PAUSE_S)
                    cluster.remove_node(lost, allow_graceful=False)
                    cluster.add_node(num_cpus=1)
                    node_is_lost = True
                time.sleep(0.3)
            codes.append(driver.wait())
    sys.stdout.write(
        f"killed: {killer.actors_at_work} actors at work, {Counter(killer.others)}; "
        f"drivers ended with {codes}\n"
    )
    assert killer.num_killed >= 5 and node_is_lost and codes.count(-9) == len(DRIVER_KILLED_AT)
    assert 3 * killer.actors_at_work >= killer.num_killed
    found = verify_labels(str(out))
    assert found.problems == ()
    uris = sorted(label.row.uri for label in open_labels(str(out)).values())
    assert uris == sorted(str(path) for path in photographs.iterdir()), "none missing, none extra"
    assert found.num_images == NUM_IMAGES
    assert found.content_digest == quiet.content_digest
