"""End a run in one line when a process of its own Ray ends unasked.

Without Ray's scheduler (raylet) or its directory (gcs_server) a run waits for ever, or Ray aborts
the process with pages of its state. Nothing more can come of such a run, and nothing is lost:
what is committed stays, and the same command resumes. No call into Ray is safe any more, a clean
end among them, so the process leaves at once and takes along what it started.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

LOOK_S = 0.3
EXIT_FAILED = 1


@contextmanager
def watched(servers: Sequence[psutil.Process], logs: Path) -> Iterator[None]:
    """Watch processes while the block runs; when one ends, end this process.

    Args:
        servers: processes without which nothing goes on.
        logs: a folder to name in the message.
    """
    is_over = threading.Event()
    watch = threading.Thread(
        target=_watch, args=(servers, logs, is_over), name="ray-watch", daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        is_over.set()
        watch.join()


def _watch(servers: Sequence[psutil.Process], logs: Path, is_over: threading.Event) -> None:
    names = {server: server.name() for server in servers}
    started = _children()
    while not is_over.wait(LOOK_S):
        gone = [names[server] for server in servers if not is_alive(server)]
        if gone:
            _leave(gone[0], logs, started | _children())
        # Kept from before: what a dead process has started is nobody's child of ours any more.
        started = {child for child in started if child.is_running()} | _children()


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process still runs; one that waits to be reaped does not."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _leave(name: str, logs: Path, started: set[psutil.Process]) -> None:
    for process in started:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    message = (
        f"error: Ray's own process {name} has ended: killed, perhaps for want of memory. What is "
        f"committed stays; the same command resumes (Ray's logs, until then: {logs})\n"
    )
    clear = "\r\x1b[K\x1b[?25h" if sys.stderr.isatty() else "\n"  # a progress bar's line and cursor
    with suppress(OSError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, (clear + message).encode())
    os._exit(EXIT_FAILED)
