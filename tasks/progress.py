"""How far a run is: a bar in the terminal, a progress artifact for whoever watches in Prefect."""

from __future__ import annotations

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self, cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from redepth.types import LabelRow, Outcome

ARTIFACT_INTERVAL_S = 5.0


class RunProgress:
    """Count outcomes as they come in. Made inside a flow run; used from its tasks' threads."""

    def __init__(self, num_images: int, num_actors: int) -> None:
        self._num_images = num_images
        self._outcomes: Counter[Outcome] = Counter()
        self._lock = threading.Lock()
        self._published = self._started = time.monotonic()
        words = f"{num_images} images, {num_actors} actors"
        artifact = create_progress_artifact(0.0, key="progress", description=words)
        self._artifact = cast("UUID", artifact)  # a coroutine only where a loop is running
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("[bold]labelling"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[trouble]}"),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("labelling", total=num_images, rate="", trouble="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    @property
    def outcomes(self) -> Counter[Outcome]:
        """Return how many images of this run ended how, so far."""
        with self._lock:
            return self._outcomes.copy()

    def count(self, row: LabelRow) -> None:
        """Take note of one more image that has its outcome."""
        with self._lock:
            self._outcomes[row.outcome] += 1
            self._draw()
            now = time.monotonic()
            due = now - self._published >= ARTIFACT_INTERVAL_S or self._done == self._num_images
            if due:
                self._published = now
        if due:
            self._publish()

    @property
    def _done(self) -> int:
        return self._outcomes.total()

    def _draw(self) -> None:
        rate = self._done / max(time.monotonic() - self._started, 1e-9)
        words = f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s/image"
        self._bar.update(self._task, completed=self._done, rate=words, trouble=self._trouble())

    def _trouble(self) -> str:
        shown = (Outcome.FELL_BACK, Outcome.REJECTED, Outcome.FAILED)
        words = [f"{self._outcomes[o]} {o.words}" for o in shown if self._outcomes[o]]
        return f"[yellow]{', '.join(words)}" if words else ""

    def _publish(self) -> None:
        share = 100.0 * self._done / max(self._num_images, 1)
        update_progress_artifact(self._artifact, progress=min(share, 100.0))
