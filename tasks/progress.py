"""How far a run is: a bar in the terminal, a progress artifact for whoever watches in Prefect."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
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
    TimeRemainingColumn,
)

from redepth.errors import TooManyFailures
from redepth.failure_budget import FailureBudget
from redepth.types import LabelRow, Outcome

ARTIFACT_INTERVAL_S = 5.0
TROUBLE = (Outcome.FELL_BACK, Outcome.REJECTED, Outcome.FAILED)


class RunProgress:
    """Count outcomes as they come in. Made inside a flow run; used from its tasks' threads."""

    def __init__(self, num_images: int, budget: FailureBudget | None = None) -> None:
        self._num_images = num_images
        self._budget = budget
        self._stopped: TooManyFailures | None = None
        self._outcomes: Counter[Outcome] = Counter()
        self._lock = threading.Lock()
        self._published = self._started = time.monotonic()
        artifact = create_progress_artifact(0.0, key="progress", description=f"{num_images} images")
        self._artifact = cast("UUID", artifact)  # a coroutine only where a loop is running
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=12),  # all of it fits into 80 columns, troubles included
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[trouble]}"),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("starting actors", total=num_images, rate="", trouble="")

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

    def begin(self) -> None:
        """Start the clock: the actors are there."""
        self._started = time.monotonic()
        self._bar.reset(self._task, description="labelling")

    @contextmanager
    def shard(self) -> Iterator[ShardProgress]:
        """Count one shard's images; a shard that fails gives its counts back, to be tried again."""
        shard = ShardProgress(self)
        try:
            yield shard
        except BaseException:
            self._add({outcome: -number for outcome, number in shard.outcomes.items()})
            raise

    def add(self, row: LabelRow) -> None:
        """Take note of one more image that has its outcome.

        Raises:
            TooManyFailures: the budget is exceeded; from then on always.
        """
        self._add({row.outcome: 1})
        self._publish_if_due()
        self._require_budget(row)

    def _require_budget(self, row: LabelRow) -> None:
        """Remember that the budget was exceeded: shards that fail for it give their counts back."""
        with self._lock:
            if self._stopped is None and self._budget is not None:
                failed, ended = self._outcomes[Outcome.FAILED], self._outcomes.total()
                try:
                    words = f"{row.id}: {row.reason}"
                    self._budget.require_kept(failed, ended, self._num_images, words)
                except TooManyFailures as error:
                    self._stopped = error
            if self._stopped is not None:
                raise self._stopped

    def _add(self, numbers: dict[Outcome, int]) -> None:
        with self._lock:
            self._outcomes.update(numbers)
            done = self._outcomes.total()
        rate = done / max(time.monotonic() - self._started, 1e-9)
        words = f"{rate:.1f}/s" if rate >= 1 or not done else f"{1 / rate:.1f} s/image"
        self._bar.update(self._task, completed=done, rate=words, trouble=self._trouble())

    def _trouble(self) -> str:
        words = [f"{self._outcomes[o]} {o.words}" for o in TROUBLE if self._outcomes[o]]
        return f"[yellow]{', '.join(words)}" if words else ""

    def _publish_if_due(self) -> None:
        with self._lock:
            done, now = self._outcomes.total(), time.monotonic()
            if now - self._published < ARTIFACT_INTERVAL_S and done != self._num_images:
                return
            self._published = now
        share = min(100.0 * done / max(self._num_images, 1), 100.0)
        update_progress_artifact(self._artifact, progress=share)


class ShardProgress:
    """The part of the counts that one try at one shard has added."""

    def __init__(self, run: RunProgress) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self._run = run

    def count(self, row: LabelRow) -> None:
        """Take note of one more image that has its outcome."""
        self.outcomes[row.outcome] += 1
        self._run.add(row)
