"""The main job on a Ray cluster that is already there: two nodes, one of them lost on the way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from ray.cluster_utils import Cluster

from redepth.store.reader import open_labels

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

REDEPTH = Path(sys.executable).with_name("redepth")
NUM_IMAGES = 240


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head without a core for actors; tokens are for clusters that others can reach."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    yield cluster
    cluster.shutdown()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i in range(NUM_IMAGES):
        Image.new("RGB", (64, 48), (i, 255 - i, 7)).save(folder / f"{i:04d}.png")
    return folder


def start(photographs: Path, out: Path, cluster: Cluster, home: Path) -> subprocess.Popen[str]:
    command = [
        REDEPTH, "label", photographs, "--out", out, "--recipe=mini-coarse", "--actors=2",
        "--ray", cluster.address, "--set=labels.coarse.size_px=252",
        "--set=labels.coarse.weights.seed=0", "--set=run.sharding.images_per_shard=20",
    ]  # fmt: skip
    return subprocess.Popen(
        [*map(str, command)],
        env=os.environ | {"PREFECT_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until(ready: Callable[[], bool], run: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not ready():
        assert run.poll() is None, run.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_lost_node_costs_no_image(cluster: Cluster, photographs: Path, tmp_path: Path) -> None:
    home = tmp_path / "prefect"
    home.mkdir()
    out = tmp_path / "labels"
    run = start(photographs, out, cluster, home)
    wait_until(lambda: bool(list((out / "manifest").glob("*.parquet"))), run)
    time.sleep(10)  # the driver joins the only node there is: a run does not survive losing its own
    lost = cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    wait_until(lambda: len(list((out / "labels").glob("*.parquet"))) >= 3, run)
    cluster.remove_node(lost, allow_graceful=False)
    cluster.add_node(num_cpus=1)
    said, _ = run.communicate(timeout=300)
    assert run.returncode == 0, said
    labels = open_labels(str(out))
    counts = {outcome.value: n for outcome, n in labels.count_outcomes().items() if n}
    assert counts == {"refined": NUM_IMAGES}
    assert len(set(labels)) == NUM_IMAGES


def test_no_cluster_at_the_address_is_said(photographs: Path, tmp_path: Path) -> None:
    home = tmp_path / "prefect"
    home.mkdir()
    command = [
        REDEPTH, "label", photographs, "--out", tmp_path / "out", "--recipe=mini-coarse",
        "--ray", "127.0.0.1:1",
    ]  # fmt: skip
    done = subprocess.run(
        [*map(str, command)],
        env=os.environ | {"PREFECT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "no Ray cluster answers at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
