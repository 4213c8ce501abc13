"""A Prefect server on Postgres, a pool and its workers, as an operator has them; for the tests."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
USER = ("admin", secrets.token_hex(16))  # others on this machine reach the server too
POOL = "tests"
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass
class Stack:
    """The address of a server, and the processes around it."""

    folder: Path
    port: int
    database: str
    extra: Mapping[str, str]
    running: dict[str, subprocess.Popen[Any]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        auth = ":".join(USER)
        return {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PREFECT_HOME": str(self.folder / "home"),
            "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
            "PREFECT_API_AUTH_STRING": auth,
            "PREFECT_SERVER_API_AUTH_STRING": auth,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            **self.extra,
        }

    def start_server(self) -> None:
        url = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": self.database}
        host = ("--host", "127.0.0.1", "--port", str(self.port))
        self._start("server", ("prefect", "server", "start", *host), url)
        wait_until(self._answers, 120, "the server to answer")

    def start_worker(self) -> None:
        command = ("prefect", "worker", "start", "--pool", POOL, "--type", "process")
        self._start("worker", command, {})

    def kill(self, name: str) -> None:
        """SIGKILL a process and what it is the leader of, as a machine that dies would."""
        process = self.running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_alone(self, name: str) -> None:
        """SIGKILL a process and leave its children to themselves."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def redepth(self, *arguments: object, code: int = 0, **extra: str) -> str:
        """Run the command line; return what it said on both streams."""
        done = subprocess.run(
            [str(BIN / "redepth"), *map(str, arguments)],
            env={**self.environment, **extra}, cwd=self.folder,
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said
        return said

    def begin(self, *arguments: object) -> subprocess.Popen[str]:
        """Start the command line and do not wait for it."""
        return subprocess.Popen(
            [str(BIN / "redepth"), *map(str, arguments)],
            env=self.environment, cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def post(self, path: str, **body: Any) -> Any:
        answer = httpx.post(self._url(path), auth=USER, json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def runs(self, name: str) -> list[dict[str, Any]]:
        """Return the runs of a deployment, the first that was due first."""
        only = {"deployments": {"name": {"any_": [name]}}}
        found: list[dict[str, Any]] = self.post("flow_runs/filter", limit=200, **only)
        return sorted(found, key=lambda run: run["expected_start_time"])

    def run(self, run_id: str) -> dict[str, Any]:
        answer = httpx.get(self._url(f"flow_runs/{run_id}"), auth=USER, timeout=30)
        found: dict[str, Any] = answer.json()
        return found

    def start_run(self, name: str) -> str:
        """Have a deployment run now; return the run's id."""
        found = re.search(r"[0-9a-f-]{36}", self.redepth("deploy", "run", name))
        assert found
        return found[0]

    def wait_for(self, run_id: str, timeout_s: float = 120) -> str:
        """Wait until a run has ended; return its state's name."""
        wait_until(lambda: self.run(run_id)["state"]["type"] in FINAL, timeout_s, "the run to end")
        name: str = self.run(run_id)["state"]["name"]
        return name

    def artifacts(self, run_id: str) -> dict[str, Any]:
        only = {"flow_runs": {"id": {"any_": [run_id]}}}
        found = self.post("artifacts/filter", limit=50, sort="CREATED_DESC", offset=0, **only)
        return {artifact["key"]: artifact["data"] for artifact in found}

    def logs(self, run_id: str) -> list[str]:
        only = {"logs": {"flow_run_id": {"any_": [run_id]}}}
        return [log["message"] for log in self.post("logs/filter", limit=200, **only)]

    def events(self, event: str) -> list[dict[str, Any]]:
        only = {"filter": {"event": {"name": [event]}}}
        found: list[dict[str, Any]] = self.post("events/filter", **only)["events"]
        return found

    def actors(self) -> list[psutil.Process]:
        """Return the actors that work for this stack, and nobody else's on this machine."""
        found = psutil.process_iter(["cmdline"])
        actors = [p for p in found if "ray::LabelActor" in " ".join(p.info["cmdline"] or [])]
        return [process for process in actors if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("PREFECT_HOME") == str(self.folder / "home")
        except psutil.Error:
            return False

    def stop(self) -> None:
        """End everything, runs that lost their worker included."""
        for name in tuple(self.running):
            self.kill(name)
        for process in filter(self._is_ours, psutil.process_iter()):
            with contextlib.suppress(psutil.Error):
                process.kill()

    def _start(self, name: str, command: tuple[str, ...], extra: Mapping[str, str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]], env={**self.environment, **extra},
                cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/api/{path}"

    def _answers(self) -> bool:
        try:
            return httpx.get(self._url("health"), auth=USER, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


@contextlib.contextmanager
def prefect_stack(folder: Path, extra: Mapping[str, str]) -> Iterator[Stack]:
    """Start Postgres, server, pool and worker in a folder; stop all of them."""
    # Not below pytest's own folder: that is closed to the user that Postgres runs as.
    with tempfile.TemporaryDirectory(prefix="redepth-postgres-") as database:
        up = [str(ROOT / "infra/postgres/up.sh"), database, str(free_port())]
        url = subprocess.run(up, stdout=subprocess.PIPE, text=True, timeout=300, check=True).stdout
        try:
            with _stack(Stack(folder, free_port(), url.strip(), extra)) as stack:
                yield stack
        finally:
            subprocess.run([str(ROOT / "infra/postgres/down.sh"), database], check=True)


@contextlib.contextmanager
def _stack(stack: Stack) -> Iterator[Stack]:
    try:
        stack.start_server()
        stack.post("work_pools/", name=POOL, type="process")
        stack.start_worker()
        yield stack
    finally:
        stack.stop()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(ready: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.5)


def write_photographs(folder: Path, numbers: range) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in numbers:
        pixels = np.random.default_rng(i).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(folder / f"{i:04d}.png")
