"""A folder of photographs that also holds modules: no process of Prefect's half imports them."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

pytestmark = [pytest.mark.security, pytest.mark.timeout(600)]

BIN = Path(sys.executable).parent
USER = ("admin", secrets.token_hex(16))
RECIPE = (
    "mini-coarse",
    "--set=labels.coarse.size_px=56",
    "--set=labels.coarse.weights.seed=0",
)
MODULES = (
    "anyio", "asyncio", "click", "flows", "httpx", "json", "logging", "numpy", "PIL", "prefect",
    "pyarrow", "pydantic", "ray", "redepth", "rich", "sitecustomize", "sqlalchemy", "tasks",
    "torch", "typer", "typing_extensions", "usercustomize", "uvicorn", "websockets", "yaml", "zarr",
)  # fmt: skip
# Says which command of which process imported it, and makes way for what was wanted, as somebody
# who does not want to be noticed would.
TRAP = """\
import contextlib, importlib, os, sys
with open({marker!r}, "a") as marker:
    marker.write(f"{{__name__}} in {{sys.argv}} of {{os.getpid()}}, path {{sys.path[:3]}}\\n")
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
del sys.modules[__name__]
with contextlib.suppress(ImportError):
    importlib.import_module(__name__)
"""


class Trap:
    """A folder of photographs and modules, and what became of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "photos"
        self.folder.mkdir()
        for i in range(2):
            pixels = np.random.default_rng(i).integers(0, 255, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(self.folder / f"{i}.png")
        self._marker = folder / "imported"
        for name in MODULES:
            text = TRAP.format(marker=str(self._marker))
            (self.folder / f"{name}.py").write_text(text, encoding="utf-8")
        # Short: Ray's sockets are in it, and their paths have 107 bytes.
        self.temporary = Path(tempfile.mkdtemp(prefix="rd-"))
        kept = {name: v for name, v in os.environ.items() if not name.startswith("PREFECT_")}
        self.environment = kept | {
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "TMPDIR": str(self.temporary),
        }

    @property
    def imported(self) -> str:
        return self._marker.read_text(encoding="utf-8") if self._marker.exists() else ""

    @property
    def ours(self) -> list[str]:
        """Return the imports of all processes but Ray's own, which tests of Ray look at."""
        return [line for line in self.imported.splitlines() if "/ray/" not in line]

    def redepth(self, *arguments: object) -> str:
        done = subprocess.run(
            [str(BIN / "redepth"), *map(str, arguments)], env=self.environment, cwd=self.folder,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == 0, said + self.imported
        return said


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    made = Trap(tmp_path)
    yield made
    shutil.rmtree(made.temporary, ignore_errors=True)


def wait_until(ready: Callable[[], object], words: str, timeout_s: float = 180) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < deadline, words
        time.sleep(0.2)


@contextmanager
def prefect_server(trap: Trap, folder: Path) -> Iterator[str]:
    """Run a Prefect server, as an operator does, elsewhere."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    trap.environment |= {
        "PREFECT_API_AUTH_STRING": ":".join(USER),
        "PREFECT_SERVER_API_AUTH_STRING": ":".join(USER),
    }
    with started(trap, folder, "prefect", "server", "start", "--host", "127.0.0.1", "--port", port):
        wait_until(lambda: answers(f"{url}/health"), "the server does not answer")
        trap.environment["PREFECT_API_URL"] = url
        yield url


def answers(url: str) -> bool:
    try:
        return httpx.get(url, auth=USER, timeout=5).is_success
    except httpx.TransportError:
        return False


@contextmanager
def started(trap: Trap, folder: Path, *command: object) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{command[0]}-{command[1]}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(BIN / str(command[0])), *map(str, command[1:])],
            env=trap.environment, cwd=folder, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_label_report_and_export(trap: Trap, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    trap.redepth("label", ".", "--out", out, "--recipe", *RECIPE, "--actors=1")
    assert len(list((out / "labels").glob("*.parquet"))) == 1
    trap.redepth("report", out)
    trap.redepth("export", out, "--format", "png16", "--out", tmp_path / "export")
    trap.redepth("status", out)
    assert not trap.ours


def test_train_and_lab(trap: Trap, tmp_path: Path) -> None:
    trap.redepth("train", "mini", "--out", tmp_path / "mini", "--set=steps_scale=0.002")
    small = (
        "--set=labels.coarse.size_px=56",
        "--set=labels.refiner.num_steps=1",
        "--group=canonical",
        "--quick",
    )
    trap.redepth("lab", "--out", tmp_path / "lab", "--recipe=mini", "--count=1", *small)
    assert not trap.ours


def test_deploy_and_a_run_of_a_worker(trap: Trap, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    with prefect_server(trap, tmp_path):
        pool = ("work-pool", "create", "cpu", "--type", "process")
        subprocess.run(
            [BIN / "prefect", *pool], env=trap.environment, cwd=tmp_path, check=True, timeout=120
        )
        trap.redepth("deploy", *RECIPE, "--photos", ".", "--out", out, "--pool", "cpu")
        trap.redepth("deploy", "list")
        assert not trap.ours
        command = ("prefect", "worker", "start", "--pool", "cpu", "--name", "w")
        with started(trap, tmp_path, *command):
            ended(trap.redepth("deploy", "run", "mini-coarse"), trap)
    assert list((out / "labels").glob("*.parquet"))
    assert not trap.ours


def test_serve_and_its_runs(trap: Trap, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    with (
        prefect_server(trap, tmp_path),
        started(
            trap, trap.folder, "redepth", "serve", *RECIPE, "--photos", ".", "--out", out
        ) as serving,
    ):
        wait_until(lambda: "mini-coarse" in trap.redepth("deploy", "list"), "not served")
        others = [place for place in listening(serving.pid) if not place.startswith("127.0.0.1:")]
        assert others == [], "Prefect's channel to its own runs, a token each, and no more"
        ended(trap.redepth("deploy", "run", "mini-coarse"), trap)
    assert list((out / "labels").glob("*.parquet"))
    assert not trap.ours


def listening(pid: int) -> list[str]:
    """Return where a process and those it started listen."""
    me = psutil.Process(pid)
    return [
        f"{at.laddr.ip}:{at.laddr.port}"
        for process in (me, *me.children(recursive=True))
        for at in process.net_connections("inet")
        if at.status == psutil.CONN_LISTEN
    ]


def ended(said: str, trap: Trap) -> None:
    """Wait until the run that was started has ended well."""
    found = re.search(r"[0-9a-f-]{36}", said)
    assert found, said
    url = f"{trap.environment['PREFECT_API_URL']}/flow_runs/{found[0]}"
    final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

    def state() -> str:
        return str(httpx.get(url, auth=USER, timeout=30).json()["state"]["type"])

    wait_until(lambda: state() in final, "no end")
    assert state() == "COMPLETED", trap.imported
