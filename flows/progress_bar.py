"""A bar on stderr for work that is done image by image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flows import terminal


@contextmanager
def progress_bar(words: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar while the block runs; each call of what it yields moves it on by one."""
    columns = (
        TextColumn(words, style="bold", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=terminal.err) as progress:
        task = progress.add_task(words, total=total)
        yield lambda: progress.advance(task)
