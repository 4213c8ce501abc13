"""Prefect's own server for as long as one command runs, quiet, where no other is configured."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from redepth.errors import ConfigError

# With more task-run events than its recorder takes at a time, the server prints a traceback at
# shutdown; logs go to the server and the flow prints for itself; what is said outside a flow is
# nobody's; nobody is called.
QUIET = {
    "PREFECT_LOGGING_EXTRA_LOGGERS": "redepth",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "500",
}


def quieten_prefect() -> None:
    """Set Prefect's environment where the user has not; call before Prefect is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def start_prefect_server() -> None:
    """Start a server for this process, unless PREFECT_API_URL or a profile names one.

    It does not hear Ctrl-C: a terminal sends that to the whole process group, and a run that is
    stopped must still be able to report that it was. Prefect ends it when this process exits.
    """
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import PREFECT_API_URL

    if PREFECT_API_URL.value():
        return
    try:
        with _inheriting_deafness():
            SubprocessASGIServer().start()
    except RuntimeError as error:
        raise ConfigError(
            f"Prefect's own server did not start ({error}). It keeps its database in PREFECT_HOME "
            "(~/.prefect), which must be writable; `prefect server start` shows what is wrong, and "
            "PREFECT_API_URL names a server that runs already"
        ) from error


@contextmanager
def _inheriting_deafness() -> Iterator[None]:
    """Block SIGINT in processes that are started in the block; here it is held until the end."""
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
