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
from contextlib import contextmanager
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


@contextmanager
def killing_workers(mark: str) -> Iterator[list[str]]:
    """SIGKILL a worker every few seconds: an actor at work, a writer of shards, one that waits.

    Not one that loads its models: on a slow machine that takes longer than a worker has to live.
    """
    draws, ended, killed = random.Random(0), threading.Event(), []

    def kill() -> None:
        while not ended.wait(KILL_EVERY_S):
            workers = [p for p in marked(mark, "ray::") if ".ready" not in p.info["cmdline"][0]]
            if workers:
                chosen = draws.choice(workers)
                killed.append(chosen.info["cmdline"][0])
                chosen.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
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
    with killing_workers(ours) as killed:
        while codes[-1:] != [0]:
            assert len(codes) < MAX_DRIVERS, (codes, (home / "said").read_text())
            driver = start(photographs, out, cluster, home)
            while driver.poll() is None:
                num_parts = len(fragment_names(open_objects(str(out))))
                if to_kill and num_parts >= to_kill[0]:
                    to_kill.pop(0)
                    driver.kill()
                if num_parts >= NODE_LOST_AT and not node_is_lost:
                    cluster.remove_node(lost, allow_graceful=False)
                    cluster.add_node(num_cpus=1)
                    node_is_lost = True
                time.sleep(0.3)
            codes.append(driver.wait())
    sys.stdout.write(f"workers killed: {Counter(killed)}; drivers ended with {codes}\n")
    assert len(killed) >= 5 and node_is_lost and codes.count(-9) == len(DRIVER_KILLED_AT)
    found = verify_labels(str(out))
    assert found.problems == ()
    uris = sorted(label.row.uri for label in open_labels(str(out)).values())
    assert uris == sorted(str(path) for path in photographs.iterdir()), "none missing, none extra"
    assert found.num_images == NUM_IMAGES
    assert found.content_digest == quiet.content_digest
