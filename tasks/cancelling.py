"""A run that is cancelled in Prefect stops, whoever started it, and if its worker is dead."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from types import TracebackType
from typing import Self
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

logger = logging.getLogger(__name__)

POLL_S = 3.0
WORKER_PATIENCE_S = 10.0  # a worker that lives ends the run by itself, and sooner


class CancelWatch:
    """Watch the flow run's state while the block runs; end the work here when it is cancelled.

    A worker tells the processes that it started. A run from the command line has none, and a worker
    may have died: then this is all there is.
    """

    def __init__(self) -> None:
        self.has_cancelled = False
        self._flow_run_id = flow_run.get_id()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cancel-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()

    def _watch(self) -> None:
        patience_s = WORKER_PATIENCE_S if is_started_by_worker() else 0.0
        cancelled_at: float | None = None
        while not self._ended.wait(POLL_S):
            if cancelled_at is None and self._is_cancelled():
                cancelled_at = time.monotonic()
            if cancelled_at is not None and time.monotonic() - cancelled_at >= patience_s:
                self.has_cancelled = True
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def _is_cancelled(self) -> bool:
        try:
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(UUID(str(self._flow_run_id))).state
        except Exception as error:  # the server may be back at the next look
            logger.debug("the run's state was not read: %s", error)
            return False
        return state is not None and (state.is_cancelling() or state.is_cancelled())


def is_started_by_worker() -> bool:
    """Whether a worker, or `redepth serve`, started this process for the flow run."""
    return "PREFECT__FLOW_RUN_ID" in os.environ
