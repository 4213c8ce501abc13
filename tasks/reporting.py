"""What is only shown in Prefect: without its server a run goes on, and says so once.

What is done is what the store says; Prefect's state is a view of it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.exceptions import PrefectHTTPStatusError

from tasks.console import RunConsole

logger = logging.getLogger(__name__)

# What Prefect's client raises where its server is gone, restarts, or has no room left.
UNREACHABLE = (httpx.TransportError, PrefectHTTPStatusError)


class _Silence:
    """Whether the server's silence was said already: once a process, by whoever meets it first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_said = False

    def say(self, error: BaseException) -> None:
        with self._lock:
            is_new, self._is_said = not self._is_said, True
        if is_new:
            RunConsole(stderr=True, highlight=False, soft_wrap=True).print(
                f"Prefect's server does not answer ({_words(error)}); labels do not need it: "
                "the run goes on, and is no longer shown there",
                markup=False,
            )
        logger.debug("not shown in Prefect: %s", error)


_silence = _Silence()


def say_unreachable(error: BaseException) -> None:
    """Say on stderr, the first time in a process, that the server does not answer."""
    _silence.say(error)


@contextmanager
def shown_if_possible() -> Iterator[None]:
    """Let what the block shows in Prefect be lost where the server does not answer."""
    try:
        yield
    except UNREACHABLE as error:
        say_unreachable(error)


def _words(error: BaseException) -> str:
    if isinstance(error, PrefectHTTPStatusError):
        return f"it answered {error.response.status_code}"
    return str(error) or type(error).__name__
