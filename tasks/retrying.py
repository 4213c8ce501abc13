"""Which failures of a task Prefect should try again."""

from __future__ import annotations

from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from redepth.errors import (
    CommitConflict,
    ConfigError,
    IntegrityError,
    LeaseLost,
    RunStopped,
    TooManyFailures,
)

_FINAL = (CommitConflict, ConfigError, IntegrityError, LeaseLost, RunStopped, TooManyFailures)


def worth_retrying(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Return whether trying again may help: not with a wrong recipe, nor with a broken store, nor
    where another run has taken over.
    """
    error = state.result(raise_on_failure=False)
    return not isinstance(error, _FINAL)
