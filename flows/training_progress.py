"""Progress bars of a training, on the terminal."""

from __future__ import annotations

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from flows import terminal


def training_progress() -> Progress:
    """Return the columns that every training shows."""
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
        console=terminal.err,
    )


class TrainingBars:
    """One bar for each thing that is counted, with the last loss beside it."""

    def __init__(self, progress: Progress, model: str) -> None:
        self._progress = progress
        self._model = model
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int, loss: float) -> None:
        if what not in self._tasks:
            described = f"{self._model}: {what}"
            self._tasks[what] = self._progress.add_task(described, total=total, loss="")
        said = f"loss {loss:.4f}" if loss else ""
        self._progress.update(self._tasks[what], completed=done, loss=said)
