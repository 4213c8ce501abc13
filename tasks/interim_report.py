"""The report of a run that goes on: written every few minutes, so that the first labels are seen.

A thread of its own writes it. A report that cannot be written is said once and costs the run
nothing; the last one, at the run's end, takes its place.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextvars import copy_context
from time import monotonic
from types import TracebackType
from typing import Self

from redepth.printable import printable

logger = logging.getLogger(__name__)

LEAST_PAUSE = 10  # times what writing took: of a large output no more than a tenth of a core


class InterimReport:
    """Write a report again and again while the block runs.

    Args:
        write: writes it; returns its URL, or None while there is no label to show.
        every_s: seconds between two of them; 0 writes none.
        on_first: is told where the first one is.
    """

    def __init__(
        self, write: Callable[[], str | None], every_s: float, on_first: Callable[[str], None]
    ) -> None:
        self._write = write
        self._every_s = every_s
        self._on_first = on_first
        self._ended = threading.Event()
        context = copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._keep,), name="interim-report", daemon=True
        )

    def __enter__(self) -> Self:
        if self._every_s > 0:
            self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for one that is being written: the last report is not to be written over."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _keep(self) -> None:
        has_told, has_failed, pause_s = False, False, self._every_s
        while not self._ended.wait(pause_s):
            begun = monotonic()
            try:
                url = self._write()
            except Exception as error:
                if not has_failed:
                    logger.warning("no report meanwhile: %s", printable(str(error)))
                url, has_failed = None, True
            if url is not None and not has_told:
                self._on_first(url)
                has_told = True
            pause_s = max(self._every_s, LEAST_PAUSE * (monotonic() - begun))
