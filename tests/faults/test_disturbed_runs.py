"""Real runs that are stopped, robbed of their output, or started where nothing can be written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from redepth.store.verification import verify_labels

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

REDEPTH = Path(sys.executable).with_name("redepth")
NUM_PHOTOS = 24
LEASE_S = 4.0


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for i in range(NUM_PHOTOS):
        pixels = np.random.default_rng(i).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:04d}.png")
    return folder


class Run:
    """A run of the command line, with a Prefect home and a log of its own."""

    def __init__(self, photographs: Path, out: Path, log: Path) -> None:
        self._log = log
        home = log.with_suffix(".prefect")
        home.mkdir()
        command = [
            *(REDEPTH, "label", photographs, "--out", out, "--recipe=mini-coarse", "--actors=1"),
            *("--set=labels.coarse.size_px=224", "--set=labels.coarse.weights.seed=0"),
            *("--set=run.sharding.images_per_shard=2", f"--set=run.lease.ttl_s={LEASE_S}"),
        ]
        with log.open("wb") as said:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdout=said,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PREFECT_HOME": str(home)},
            )

    def wait(self) -> int:
        return self.process.wait(timeout=400)

    @property
    def said(self) -> str:
        return " ".join(self._log.read_text(encoding="utf-8", errors="replace").split())

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def runs(photographs: Path, tmp_path: Path) -> Iterator[list[Run]]:
    started: list[Run] = []
    yield started
    for run in started:
        run.end()


def wait_for_parts(out: Path, number: int) -> None:
    deadline = time.monotonic() + 200
    while len(list(out.glob("labels/*.parquet"))) < number:
        assert time.monotonic() < deadline, "nothing was committed"
        time.sleep(0.05)


def all_is_there(out: Path) -> None:
    found = verify_labels(str(out))
    assert (found.num_images, list(found.problems)) == (NUM_PHOTOS, [])


def test_a_run_that_was_stopped_for_longer_than_its_lease_ends_as_told(
    photographs: Path, tmp_path: Path, runs: list[Run]
) -> None:
    out = tmp_path / "out"
    runs.append(Run(photographs, out, tmp_path / "first"))
    wait_for_parts(out, 1)
    runs[0].process.send_signal(signal.SIGSTOP)
    runs.append(Run(photographs, out, tmp_path / "second"))
    assert runs[1].wait() == 0, runs[1].said
    pages = set(out.glob("reports/*"))
    runs[0].process.send_signal(signal.SIGCONT)
    assert runs[0].wait() == 1, runs[0].said
    assert "lease of this run was lost" in runs[0].said
    assert "Traceback" not in runs[0].said
    assert set(out.glob("reports/*")) == pages, "the report is that of the run which did the rest"
    all_is_there(out)


def test_of_two_runs_at_once_one_waits_and_all_is_there(
    photographs: Path, tmp_path: Path, runs: list[Run]
) -> None:
    out = tmp_path / "out"
    runs += [Run(photographs, out, tmp_path / name) for name in ("first", "second")]
    assert [run.wait() for run in runs] == [0, 0], [run.said for run in runs]
    assert sum("waiting for the lease of" in run.said for run in runs) == 1
    all_is_there(out)


def test_an_output_that_is_removed_ends_the_run_and_stays_away(
    photographs: Path, tmp_path: Path, runs: list[Run]
) -> None:
    out = tmp_path / "out"
    runs.append(Run(photographs, out, tmp_path / "first"))
    wait_for_parts(out, 2)
    out.rename(tmp_path / "moved")  # at once, where rm -rf takes a while
    shutil.rmtree(tmp_path / "moved")
    assert runs[0].wait() == 1, runs[0].said
    assert "Traceback" not in runs[0].said
    assert "error:" in runs[0].said and "again" in runs[0].said
    assert not list(out.rglob("*.parquet")), "no half output"
    runs.append(Run(photographs, out, tmp_path / "second"))
    assert runs[1].wait() == 0, runs[1].said
    all_is_there(out)
