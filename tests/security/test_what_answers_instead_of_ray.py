"""`--ray` where something else answers, or a cluster that wants a token: one line, in good time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.security.attacked_run import QUICK, done, photographs

pytestmark = [pytest.mark.security, pytest.mark.timeout(600)]

RAY = Path(sys.executable).with_name("ray")
LIMIT_S = 150.0  # the time-outs are 30 s; the rest is Prefect's server on a busy machine
TOKEN = "5" * 64


class SaysNothingUseful(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def web_server() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), SaysNothingUseful) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def silent() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def nobody() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A cluster whose head wants a token."""
    folder = tmp_path_factory.mktemp("guarded")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
    log = folder / "head.log"
    with log.open("w") as out:
        head = subprocess.Popen(
            [RAY, "start", "--head", "--block", f"--port={port}", "--num-cpus=2",
             "--include-dashboard=false", "--disable-usage-stats"],
            env={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN},
            stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    deadline = time.monotonic() + 60
    while "--block" not in log.read_text():
        assert head.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    yield port
    head.terminate()
    head.wait(60)


def refusal(tmp_path: Path, address: str, **environ: str) -> str:
    """Return what a run says that is told to join `address`; it must end in time, and by itself."""
    began = time.monotonic()
    photos = photographs(tmp_path / "photos", 1)
    ended = done(
        "label", photos, "--out", tmp_path / "out", *QUICK, "--ray", address,
        environ={"PREFECT_HOME": str(tmp_path / "prefect"), "HOME": str(tmp_path), **environ},
        timeout_s=LIMIT_S + 60,
    )  # fmt: skip
    assert ended.code == 2, ended.said
    assert "Traceback" not in ended.said
    assert time.monotonic() - began < LIMIT_S, ended.said
    assert address in ended.said
    return ended.said


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_silent_listener(tmp_path: Path, silent: int, scheme: str) -> None:
    said = refusal(tmp_path, f"{scheme}127.0.0.1:{silent}")
    assert "Ray cluster" in said


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_web_server(tmp_path: Path, web_server: int, scheme: str) -> None:
    said = refusal(tmp_path, f"{scheme}127.0.0.1:{web_server}")
    assert "Ray cluster" in said


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_nobody(tmp_path: Path, nobody: int, scheme: str) -> None:
    assert "no Ray cluster answers" in refusal(tmp_path, f"{scheme}127.0.0.1:{nobody}")


def test_auto_where_the_environment_names_something_else(tmp_path: Path, silent: int) -> None:
    said = refusal(tmp_path, "auto", RAY_ADDRESS=f"127.0.0.1:{silent}")
    assert "did not answer as Ray does" in said


@pytest.mark.parametrize("token", [None, "6" * 64])
def test_a_cluster_that_wants_another_token(
    tmp_path: Path, guarded: int, token: str | None
) -> None:
    environ = {} if token is None else {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    assert "wants a token" in refusal(tmp_path, f"127.0.0.1:{guarded}", **environ)


def test_the_right_token_opens(tmp_path: Path, guarded: int) -> None:
    photos = photographs(tmp_path / "photos", 1)
    environ = {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
    }
    address = f"127.0.0.1:{guarded}"
    ended = done(
        "label", photos, "--out", tmp_path / "out", *QUICK, "--ray", address, environ=environ
    )
    assert ended.code == 0, ended.said
