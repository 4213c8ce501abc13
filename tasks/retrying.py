"""Which failures of a task Prefect should try again."""

from __future__ import annotations

from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from redepth.errors import ConfigError, IntegrityError, RunStopped


def worth_retrying(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Return whether trying again may help: not with a wrong recipe, nor with a broken store."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, ConfigError | IntegrityError | RunStopped)
