"""A real `redepth label` to attack: started, waited for, and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

REDEPTH = Path(sys.executable).with_name("redepth")
QUICK = (
    "--recipe=mini-coarse",
    "--set=labels.coarse.size_px=56",
    "--set=labels.coarse.weights.seed=0",
    "--actors=2",
)
SLOW = (
    "--recipe=mini",
    "--set=labels.coarse.size_px=56",
    "--set=labels.refiner.num_steps=60",
    "--set=labels.refiner.num_members=2",
    "--set=run.sharding.images_per_shard=2",
    "--actors=2",
)


@dataclass(frozen=True)
class Ended:
    """A command that has ended, and what it printed on both streams."""

    code: int
    said: str
    seconds: float


@dataclass(frozen=True)
class Run:
    """A command that runs."""

    process: subprocess.Popen[str]

    @property
    def tree(self) -> list[psutil.Process]:
        """The process and all it started."""
        with suppress(psutil.NoSuchProcess):
            me = psutil.Process(self.process.pid)
            return [me, *me.children(recursive=True)]
        return []

    def ray(self) -> list[psutil.Process]:
        """Return the run's process and those of its Ray, without Prefect's server."""
        return [process for process in self.tree if not is_prefect(process)]

    def named(self, part: str) -> list[psutil.Process]:
        """Return the processes whose command line has `part` in it."""
        return [process for process in self.tree if part in command_line(process)]

    def wait_until(self, ready: Callable[[], object], patience_s: float = 300.0) -> None:
        deadline = time.monotonic() + patience_s
        while not ready():
            assert self.process.poll() is None, f"it ended too early: {self.ended().said}"
            assert time.monotonic() < deadline, "it took too long"
            time.sleep(0.1)

    def ended(self, timeout_s: float = 240.0) -> Ended:
        begun = time.monotonic()
        said, _ = self.process.communicate(timeout=timeout_s)
        return Ended(self.process.returncode, said, time.monotonic() - begun)


def command_line(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def is_prefect(process: psutil.Process) -> bool:
    return "embedded_server_process" in command_line(process)


def is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def left_of(processes: list[psutil.Process], patience_s: float = 20.0) -> list[str]:
    """Wait for processes to be gone; return the command lines of those that are not."""
    deadline = time.monotonic() + patience_s
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return [command_line(process) for process in processes if is_alive(process)]


def photographs(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(number):
        pixels = np.random.default_rng(i).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(folder / f"{i:04d}.png")
    return folder


@contextmanager
def running(
    *arguments: object,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    prefix: tuple[str, ...] = (),
) -> Iterator[Run]:
    """Start `redepth ARGUMENTS`; whatever is left of it is killed at the end."""
    process = subprocess.Popen(
        [*prefix, str(REDEPTH), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        # Ray's workers are nice to others: on a busy machine a test would take minutes for it.
        env={**os.environ, "RAY_worker_niceness": "0", **(environ or {})},
    )
    run = Run(process)
    try:
        yield run
    finally:
        for left in run.tree:
            with suppress(psutil.NoSuchProcess):
                left.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def done(
    *arguments: object,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    prefix: tuple[str, ...] = (),
    timeout_s: float = 240.0,
) -> Ended:
    """Run `redepth ARGUMENTS` to its end."""
    with running(*arguments, cwd=cwd, environ=environ, prefix=prefix) as run:
        return run.ended(timeout_s)
