"""A run's own Prefect server, as other users of the machine see it, and what becomes of it."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

pytestmark = [pytest.mark.security, pytest.mark.timeout(600)]

REDEPTH = Path(sys.executable).with_name("redepth")
SLOW = (
    "--recipe=mini",
    "--set=labels.coarse.size_px=56",
    "--set=labels.refiner.num_steps=200",
    "--set=run.sharding.images_per_shard=1",
    "--actors=1",
)
QUICK = (
    "--recipe=mini-coarse",
    "--set=labels.coarse.size_px=56",
    "--set=labels.coarse.weights.seed=0",
    "--set=run.sharding.images_per_shard=1",
    "--actors=1",
)
SERVER = "flows.embedded_server_process"


@cache
def temporary_folder() -> Path:
    """Make a folder of a short name: Ray's sockets are in it, and their paths have 107 bytes."""
    return Path(tempfile.mkdtemp(prefix="rd-"))


@pytest.fixture(scope="module", autouse=True)
def without_leftovers() -> Iterator[None]:
    yield
    shutil.rmtree(temporary_folder(), ignore_errors=True)


def write_photographs(folder: Path, number: int) -> Path:
    folder.mkdir()
    for i in range(number):
        pixels = np.random.default_rng(i).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:04d}.png")
    return folder


def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which nothing is shared with other runs."""
    kept = {name: v for name, v in os.environ.items() if not name.startswith("PREFECT_")}
    return kept | {"PREFECT_HOME": str(tmp_path / "home"), "TMPDIR": str(temporary_folder())}


def wait_until(ready: Callable[[], object], words: str, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < deadline, words
        time.sleep(0.05)


def server_of(driver: int) -> psutil.Process | None:
    for child in psutil.Process(driver).children(recursive=True):
        if SERVER in child.cmdline():
            return child
    return None


@contextmanager
def running(tmp_path: Path, *settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a run that has committed its first image and is far from its end."""
    photos = write_photographs(tmp_path / "photos", 40)
    out = tmp_path / "labels"
    with (tmp_path / "said").open("wb") as said:  # a pipe's end would wait for all who hold it
        process = subprocess.Popen(
            [str(REDEPTH), "label", str(photos), "--out", str(out), *settings],
            env=environment(tmp_path), cwd=tmp_path, stdout=said, stderr=said,
        )  # fmt: skip
    try:
        wait_until(
            lambda: process.poll() is not None or any((out / "labels").glob("*.parquet")),
            "no label came",
        )
        assert process.poll() is None, (tmp_path / "said").read_text()
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[psutil.Process]:
    with running(tmp_path_factory.mktemp("run"), *SLOW) as process:
        found = server_of(process.pid)
        assert found is not None
        yield found


def listening(process: psutil.Process) -> list[tuple[str, int]]:
    found = [c for c in process.net_connections("all") if c.status == psutil.CONN_LISTEN]
    for child in process.children(recursive=True):
        found += [c for c in child.net_connections("all") if c.status == psutil.CONN_LISTEN]
    return [(c.laddr.ip, c.laddr.port) for c in found]


def test_it_listens_on_loopback_alone(server: psutil.Process) -> None:
    assert [host for host, _ in listening(server)] == ["127.0.0.1"]


@pytest.mark.parametrize("auth", [None, ("redepth", ""), ("admin", "admin")])
def test_no_port_of_it_does_anything_without_the_password(
    server: psutil.Process, auth: tuple[str, str] | None
) -> None:
    (_, port), *more = listening(server)
    assert not more
    url = f"http://127.0.0.1:{port}/api"
    for method, path in [
        ("GET", "admin/version"),
        ("GET", "admin/settings"),
        ("POST", "flow_runs/filter"),
        ("POST", "flow_runs/"),
        ("POST", "flows/"),
        ("POST", "logs/filter"),
        ("POST", "artifacts/filter"),
        ("POST", "variables/"),
        ("DELETE", "flow_runs/00000000-0000-0000-0000-000000000000"),
    ]:
        answer = httpx.request(method, f"{url}/{path}", auth=auth, json={}, timeout=30)
        assert answer.status_code == 401, (method, path, answer.text)


@pytest.mark.parametrize("path", ["events/in", "events/out", "logs/out"])
def test_no_stream_of_it_speaks_without_the_password(server: psutil.Process, path: str) -> None:
    (_, port), *_ = listening(server)
    url = f"ws://127.0.0.1:{port}/api/{path}"
    with connect(url, subprotocols=[Subprotocol("prefect")]) as stream:
        stream.send('{"type": "auth", "token": "redepth:guess"}')
        with pytest.raises(ConnectionClosed):
            stream.recv(timeout=30)


def test_its_password_is_in_no_command_line_and_its_folder_is_private(
    server: psutil.Process,
) -> None:
    password = server.environ()["PREFECT_SERVER_API_AUTH_STRING"]
    user, _, word = password.partition(":")
    (_, port), *_ = listening(server)
    answer = httpx.get(f"http://127.0.0.1:{port}/api/admin/version", auth=(user, word))
    assert answer.status_code == 200
    assert not [p.pid for p in psutil.process_iter(["cmdline"]) if word in " ".join(p.cmdline())]
    folder = Path(server.environ()["PREFECT_HOME"])
    assert Path(server.cwd()) == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    driver = server.parent()
    assert driver is not None
    assert word not in "\n".join(driver.environ().values())
    for other in driver.children(recursive=True):
        if other.pid != server.pid:
            assert word not in "\n".join(other.environ().values()), other.cmdline()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_it_ends_with_a_run_that_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, *SLOW) as process:
        server = server_of(process.pid)
        assert server is not None
        folder = Path(server.environ()["PREFECT_HOME"])
        process.send_signal(number)
        process.wait(60)
        wait_until(lambda: not server.is_running(), "the server stays", timeout_s=30)
    # A later run removes the folder that the killed one could not.
    assert folder.exists()
    os.utime(folder, (0, 0))
    done = subprocess.run(
        [str(REDEPTH), "label", str(tmp_path / "photos"), "--out", str(tmp_path / "others"),
         "--limit=1", *QUICK],
        env=environment(tmp_path), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not folder.exists()


def test_a_run_whose_server_is_killed_labels_everything_and_says_so_once(tmp_path: Path) -> None:
    with running(tmp_path, *QUICK) as process:
        server = server_of(process.pid)
        assert server is not None
        server.kill()
        killed = time.monotonic()
        process.wait(timeout=240)
    said = (tmp_path / "said").read_text()
    assert process.returncode == 0, said
    assert time.monotonic() - killed < 120
    assert said.count("Prefect's server does not answer") == 1, said
    assert "refined        40" in said, said
    assert "Traceback" not in said
    assert "Error logging to API" not in said
    assert "EventsWorker" not in said


def test_a_home_of_a_newer_prefect_does_not_matter(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "prefect.db").write_bytes(b"of a Prefect that is yet to come")
    began = time.monotonic()
    done = subprocess.run(
        [str(REDEPTH), "label", str(write_photographs(tmp_path / "photos", 1)),
         "--out", str(tmp_path / "labels"), *QUICK],
        env=environment(tmp_path), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 120
    assert (home / "prefect.db").read_bytes() == b"of a Prefect that is yet to come"


def test_one_that_is_named_and_absent_is_said_in_a_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(REDEPTH), "label", str(write_photographs(tmp_path / "photos", 1)),
         "--out", str(tmp_path / "labels"), *QUICK],
        env=environment(tmp_path) | {"PREFECT_API_URL": "http://127.0.0.1:9/api"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert "no Prefect server answers at http://127.0.0.1:9/api (PREFECT_API_URL)" in line
    assert "Traceback" not in done.stderr
