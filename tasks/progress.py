"""How far a run is: counted as outcomes come in, shown as a bar in the terminal."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from redepth.costing.tally import WorkTally
from redepth.errors import TooManyFailures
from redepth.failure_budget import FailureBudget
from redepth.report.figures import reason_pattern
from redepth.types import LabelRow, Outcome
from tasks.cancelling import is_started_by_worker
from tasks.console import RunConsole

TROUBLE = (Outcome.FELL_BACK, Outcome.REJECTED, Outcome.FAILED)
MAX_REASONS = 200


@dataclass(frozen=True, slots=True)
class RunFigures:
    """How far a run is at one moment.

    Attributes:
        num_images: planned.
        outcomes: images that have ended, by outcome.
        reasons: why images are not refined, less what differs from image to image, with their
            number; the first `MAX_REASONS` there were.
        examples: an image for each of them.
        seconds_labelling: since the actors were ready, 0 before.
        seconds_of_actors: since the actors were asked for, which is what they cost.
        num_actors: 0 before they are there.
        num_kept: of the images that have ended, those whose label of before was kept.
        work: what the images took that have ended.
        seconds_of_work: from when the actors were ready to when the last of them ended.
    """

    num_images: int
    outcomes: Mapping[Outcome, int]
    reasons: Mapping[tuple[Outcome, str], int]
    examples: Mapping[tuple[Outcome, str], str]
    seconds_labelling: float
    seconds_of_actors: float
    num_actors: int
    num_kept: int = 0
    work: WorkTally = field(default_factory=WorkTally)
    seconds_of_work: float = 0.0

    @property
    def num_done(self) -> int:
        return sum(self.outcomes.values())

    @property
    def rejected_share(self) -> float:
        """Of the images that have ended, those rejected or failed."""
        bad = self.outcomes.get(Outcome.REJECTED, 0) + self.outcomes.get(Outcome.FAILED, 0)
        return bad / max(self.num_done, 1)


class RunProgress:
    """Count outcomes as they come in; used from many threads."""

    def __init__(self, num_images: int, budget: FailureBudget | None = None) -> None:
        self._num_images = num_images
        self._budget = budget
        self._stopped: TooManyFailures | None = None
        self._outcomes: Counter[Outcome] = Counter()
        self._reasons: Counter[tuple[Outcome, str]] = Counter()
        self._examples: dict[tuple[Outcome, str], str] = {}
        self._num_kept = 0
        self._work = WorkTally()
        self._num_actors = 0
        self._lock = threading.Lock()
        self._asked = time.monotonic()
        self._began: float | None = None
        self._last_ended = self._asked
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=12),  # all of it fits into 80 columns, troubles included
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[trouble]}"),
            console=RunConsole(stderr=True),
            disable=is_started_by_worker(),  # its log is read in Prefect, line by line
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

    def figures(self) -> RunFigures:
        """Return how far the run is now."""
        now = time.monotonic()
        with self._lock:
            return RunFigures(
                self._num_images,
                +self._outcomes,
                +self._reasons,
                dict(self._examples),
                0.0 if self._began is None else now - self._began,
                now - self._asked,
                self._num_actors,
                self._num_kept,
                self._work.copy(),
                0.0 if self._began is None else max(0.0, self._last_ended - self._began),
            )

    def begin(self, num_actors: int) -> None:
        """Start the clock: the actors are there."""
        with self._lock:
            self._began, self._num_actors = time.monotonic(), num_actors
        self._bar.reset(self._task, description="labelling")

    @contextmanager
    def shard(self) -> Iterator[ShardProgress]:
        """Count one shard's images; a shard that fails gives its counts back, to be tried again."""
        shard = ShardProgress(self)
        try:
            yield shard
        except BaseException:
            for row in shard.rows:
                self._add(row, -1)
            raise

    def count(self, row: LabelRow) -> None:
        """Take note of one more image that has its outcome.

        Raises:
            TooManyFailures: the budget is exceeded; from then on always.
        """
        self._add(row, 1)
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

    def _add(self, row: LabelRow, number: int) -> None:
        with self._lock:
            self._outcomes[row.outcome] += number
            self._num_kept += number * row.is_stored
            self._work.add(row, number)
            self._last_ended = time.monotonic()
            reason = (row.outcome, reason_pattern(row.reason or ""))
            if row.reason and (reason in self._reasons or len(self._reasons) < MAX_REASONS):
                self._reasons[reason] += number
                self._examples.setdefault(reason, row.id)
            done = self._outcomes.total()
            seconds = self._last_ended - (self._began or self._asked)
        rate = done / max(seconds, 1e-9)
        words = f"{rate:.1f}/s" if rate >= 1 or not done else f"{1 / rate:.1f} s/image"
        self._bar.update(self._task, completed=done, rate=words, trouble=self._trouble())

    def _trouble(self) -> str:
        words = [f"{self._outcomes[o]} {o.words}" for o in TROUBLE if self._outcomes[o]]
        return f"[yellow]{', '.join(words)}" if words else ""


class ShardProgress:
    """What one try at one shard has added to the counts."""

    def __init__(self, run: RunProgress) -> None:
        self.rows: list[LabelRow] = []
        self._run = run

    def count(self, row: LabelRow) -> None:
        """Take note of one more image that has its outcome."""
        self.rows.append(row)
        self._run.count(row)
