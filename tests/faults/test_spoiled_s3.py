"""The main job on a real S3 server behind a proxy that spoils its answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from PIL import Image

from redepth.config import load_recipe
from redepth.images.collection import list_images
from redepth.labelling.labeller import label_shard, load_labeller
from redepth.store.dataset import begin
from redepth.store.manifest import read_shard_plans
from redepth.store.planning import plan_labels
from redepth.store.shards import write_shard
from redepth.store.verification import Verification, verify_labels

pytestmark = [pytest.mark.s3, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
REDEPTH = Path(sys.executable).with_name("redepth")
MITMDUMP = Path(sys.executable).parents[1] / "mitmproxy" / "bin" / "mitmdump"
SETTINGS = (
    "labels.coarse.size_px=56",
    "labels.coarse.weights.seed=0",
    "run.sharding.images_per_shard=4",
)
SPOIL_S3 = ROOT / "infra" / "faults" / "spoil_s3.py"
NUM_PHOTOS = 24


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that is running: what clients are to call, and what it has done so far."""

    url: str
    folder: Path

    def counts(self) -> Counter[str]:
        file = self.folder / "counts"
        return Counter(file.read_text().split() if file.exists() else ())

    def refuse_everything(self) -> None:
        (self.folder / "refuse").touch()


@contextmanager
def spoiling(folder: Path, **rates: float) -> Iterator[Proxy]:
    if not MITMDUMP.exists():
        pytest.fail(f"{MITMDUMP} is missing; `make test-s3` installs it")
    port = free_port()
    options = [f"counts={folder}/counts", f"refuse_if={folder}/refuse", "keep_host_header=true"]
    options += [f"{name}={rate}" for name, rate in rates.items()]
    command = [
        MITMDUMP, "--mode", f"reverse:{os.environ['AWS_ENDPOINT_URL']}", "--quiet",
        "--listen-host", "127.0.0.1", "--listen-port", port, "-s", SPOIL_S3,
        *(word for option in options for word in ("--set", option)),
    ]  # fmt: skip
    process = subprocess.Popen([*map(str, command)])
    try:
        wait_until(lambda: listens(port), process)
        yield Proxy(f"http://127.0.0.1:{port}", folder)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 240
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def bucket(new_bucket: Callable[[], str]) -> str:
    """Return a bucket with photographs below photos/."""
    name, client = new_bucket(), boto3.client("s3")
    for i in range(NUM_PHOTOS):
        pixels_hw3 = np.random.default_rng(i).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        path = Path(os.environ["PREFECT_HOME"]) / "photo.png"
        Image.fromarray(pixels_hw3).resize((64, 48)).save(path)
        client.upload_file(str(path), name, f"photos/{i:04d}.png")
    return name


@pytest.fixture(scope="module", autouse=True)
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        yield


@pytest.fixture(scope="module")
def quiet(bucket: str, prefect_home: None) -> Verification:
    """Label the photographs with no proxy and no engine."""
    out = f"s3://{bucket}/quiet"
    recipe = load_recipe("mini-coarse", SETTINGS)
    labeller = load_labeller(recipe.labels)
    plan = plan_labels(list_images(f"s3://{bucket}/photos"), out, recipe)
    begin(out, recipe, labeller.cards)
    assert plan.manifest is not None
    for shard in read_shard_plans(plan.manifest, 0, plan.num_shards):
        write_shard(out, shard, label_shard(labeller, shard.images), recipe.labels.storage)
    return verify_labels(out)


def start(bucket: str, out: str, proxy: Proxy) -> subprocess.Popen[str]:
    command = [
        str(REDEPTH), "label", f"s3://{bucket}/photos", "--out", out, "--recipe=mini-coarse",
        "--actors=2", *(f"--set={setting}" for setting in SETTINGS),
    ]  # fmt: skip
    return subprocess.Popen(
        command,
        env=os.environ | {"AWS_ENDPOINT_URL": proxy.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_bad_day_of_the_storage_costs_time_and_nothing_else(
    bucket: str, quiet: Verification, tmp_path: Path
) -> None:
    out = f"s3://{bucket}/bad-day"
    rates = {"slow_down": 0.05, "disconnect": 0.01, "half_upload": 0.08, "slow_read": 0.02}
    with spoiling(tmp_path, **rates) as proxy:
        for _ in range(3):  # a command may give up with a clear error; the same one goes on
            run = start(bucket, out, proxy)
            said, _ = run.communicate(timeout=300)
            assert "Traceback" not in said
            if run.returncode == 0:
                break
            assert "error:" in said
        assert run.returncode == 0, said
        done = proxy.counts()
    assert done["slow_down"] >= 5 and done["half_upload"] >= 1 and done["slow_read"] >= 1, done
    found = verify_labels(out)
    assert found.problems == ()
    assert found.content_digest == quiet.content_digest


def test_a_key_that_is_revoked_halfway_ends_the_run_with_what_to_do(
    bucket: str, quiet: Verification, tmp_path: Path
) -> None:
    out = f"s3://{bucket}/revoked"
    client = boto3.client("s3")

    def num_parts() -> int:
        return int(client.list_objects_v2(Bucket=bucket, Prefix="revoked/labels/")["KeyCount"])

    with spoiling(tmp_path) as proxy:
        run = start(bucket, out, proxy)
        wait_until(lambda: num_parts() >= 1, run)
        proxy.refuse_everything()
        said, _ = run.communicate(timeout=300)
        assert proxy.counts()["refused"] >= 1
    assert run.returncode == 2, said
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in " ".join(said.split())
    assert "Traceback" not in said
    before = verify_labels(out)
    assert before.problems == ()
    assert 0 < before.num_images < NUM_PHOTOS
    (tmp_path / "refuse").unlink()
    with spoiling(tmp_path) as proxy:
        run = start(bucket, out, proxy)
        said, _ = run.communicate(timeout=300)
    assert run.returncode == 0, said
    assert verify_labels(out).content_digest == quiet.content_digest
