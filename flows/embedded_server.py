"""Prefect's own server for as long as one command runs, quiet, where no other is configured.

It is nobody else's: it listens on the loopback interface alone, on a socket that was bound before
it started, asks for a password that is made for this run, keeps its database in a folder that only
this user can enter, and ends with the command, however that ends.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redepth.errors import ConfigError

# With more task-run events than its recorder takes at a time, the server prints a traceback at
# shutdown; logs go to the server and the flow prints for itself; what is said outside a flow is
# nobody's; nobody is called. Five repetitions, Prefect's default, wait for 62 s in every call.
QUIET = {
    "PREFECT_API_REQUEST_TIMEOUT": "30",
    "PREFECT_CLIENT_MAX_RETRIES": "4",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "redepth",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "500",
    "DO_NOT_TRACK": "1",
}
# A server on the same machine is there, or it is gone for good.
EMBEDDED_RETRIES = "1"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 5.0
FOLDER_PREFIX = "redepth-prefect-"
LOCK = "in-use"
SETTLED_S = 60.0


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A server that runs, and its folder."""

    process: subprocess.Popen[bytes]
    folder: Path

    def stop(self) -> None:
        """End the server and remove its folder; a server that is gone already is no fault."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def quieten_prefect() -> None:
    """Set Prefect's environment where the user has not; call before Prefect is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # Logs that a server does not take are no reason for lines on the terminal.
    logging.raiseExceptions = False


def start_prefect_server() -> None:
    """Start a server for this process, unless PREFECT_API_URL or a profile names one.

    One that is named is asked whether it is there. One that is started does not hear Ctrl-C, which
    a terminal sends to the whole session: a run that is stopped must be able to report that it was.

    Raises:
        ConfigError: the server that is named does not answer, or none could be started.
    """
    from prefect.events.clients import PrefectEventsClient
    from prefect.events.worker import EventsWorker, emit_events_to_cloud
    from prefect.settings import PREFECT_API_URL

    from flows.prefect_connection import require_answer

    if PREFECT_API_URL.value():
        require_answer()
    else:
        _start_own()
    if not emit_events_to_cloud():
        # What could not be sent is sent with what follows. The default waits for 8 s an event, so
        # that a command whose server is gone would not end for minutes.
        EventsWorker.set_client_override(PrefectEventsClient, reconnection_attempts=1)


def _start_own() -> None:
    from prefect.context import refresh_global_settings_context
    from prefect.settings import PREFECT_HOME

    _remove_abandoned()
    home_of_user = Path(str(PREFECT_HOME.value()))
    folder, password = _own_folder(), f"redepth:{secrets.token_urlsafe(32)}"
    _copy_empty_database(_empty_database(home_of_user), folder)
    server, url = _launch(folder, password)
    atexit.register(server.stop)
    _wait_until_it_answers(server, url, password)
    _keep_empty_database(folder, _empty_database(home_of_user))
    ours = {
        "PREFECT_API_URL": url,
        "PREFECT_API_AUTH_STRING": password,
        "PREFECT_CLIENT_MAX_RETRIES": EMBEDDED_RETRIES,
        "PREFECT_HOME": str(folder),
    }
    with _environment(ours):  # Ray's processes need not know the password
        refresh_global_settings_context()


def _launch(folder: Path, password: str) -> tuple[EmbeddedServer, str]:
    """Start the process with a socket that is bound here: nobody can come first to its port."""
    with socket.socket() as listener, (folder / "server.log").open("wb") as log:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.embedded_server_process", str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            cwd=folder,
            env=_server_environment(folder, password),
            start_new_session=True,
        )
    return EmbeddedServer(process, folder), f"http://127.0.0.1:{port}/api"


def _server_environment(folder: Path, password: str) -> dict[str, str]:
    """Return the server's environment: its settings are ours, not a profile's or a shell's."""
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("PREFECT_")}
    return {
        **inherited,
        **QUIET,
        "PREFECT_HOME": str(folder),
        "PREFECT_SERVER_API_AUTH_STRING": password,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder}/prefect.db",
        "PREFECT_UI_ENABLED": "0",
        # As Prefect's own temporary server is started: no page, and less memory.
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
    }


def _wait_until_it_answers(server: EmbeddedServer, url: str, password: str) -> None:
    import httpx

    user, _, word = password.partition(":")
    deadline = time.monotonic() + START_TIMEOUT_S
    # The environment may name a proxy, which cannot reach this machine's loopback interface.
    with httpx.Client(trust_env=False, auth=(user, word), timeout=START_TIMEOUT_S) as client:
        while server.process.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if client.get(f"{url}/admin/version").is_success:
                    return
            time.sleep(0.1)
    code = server.process.poll()
    log = (server.folder / "server.log").read_text(encoding="utf-8", errors="replace").split("\n")
    ended = "did not answer" if code is None else f"ended with code {code}"
    last = next((line for line in reversed(log) if line.strip()), "it said nothing")
    server.stop()
    raise ConfigError(
        f"Prefect's own server {ended} within {START_TIMEOUT_S:.0f} s ({last.strip()}). It keeps "
        f"its database in a new folder in {server.folder.parent} (TMPDIR), which must have room; "
        "PREFECT_API_URL names a server that runs already"
    )


def _own_folder() -> Path:
    """Make a folder that nobody else can enter, and hold it until this process ends."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise ConfigError(
            f"no folder could be made for Prefect's own server in {tempfile.gettempdir()} "
            f"({error}): name another one (TMPDIR) or a server that runs already (PREFECT_API_URL)"
        ) from error
    return folder


def _remove_abandoned() -> None:
    """Remove folders of runs that were killed; their servers have ended by themselves."""
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
            with suppress(OSError):
                _remove_if_abandoned(folder)


def _remove_if_abandoned(folder: Path) -> None:
    facts = folder.lstat()
    if facts.st_uid != os.getuid() or time.time() - facts.st_mtime < SETTLED_S:
        return
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _empty_database(home: Path) -> Path:
    """Name the copy of a new database, which takes 6 s to make and none to copy."""
    import prefect

    return home / f"redepth-empty-{prefect.__version__}.db"


def _copy_empty_database(source: Path, folder: Path) -> None:
    with suppress(OSError):
        shutil.copyfile(source, folder / "prefect.db")


def _keep_empty_database(folder: Path, target: Path) -> None:
    """Keep a copy for later runs, where there is none and one can be kept."""
    with suppress(OSError, sqlite3.Error):
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=target.parent)
        os.close(handle)
        try:
            with (
                closing(sqlite3.connect(folder / "prefect.db")) as source,
                closing(sqlite3.connect(part)) as copy,
            ):
                source.backup(copy)
            Path(part).replace(target)
        finally:
            Path(part).unlink(missing_ok=True)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the block, and put back what was there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
