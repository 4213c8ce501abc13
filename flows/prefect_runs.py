"""Run `label-images` in this process and say what came of it, whether Prefect was told or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prefect.client.schemas.objects import State
from prefect.exceptions import CancelledRun

from flows.label_images import SKIPPED, label_images, last_report, planned_before
from redepth.config import Recipe
from redepth.errors import OutputBusy, RedepthError, RunStopped, TransientError
from redepth.store.planning import Draft
from redepth.types import Outcome
from tasks.publish_report import RunReport
from tasks.reporting import UNREACHABLE, say_unreachable


def run_to_report(
    source: str,
    out: str,
    recipe: Recipe,
    ray_address: str | None,
    limit: int | None,
    retry: tuple[Outcome, ...],
    draft: Draft,
) -> RunReport:
    """Label, and return how the output stands; a Prefect server that is gone changes nothing of it.

    Raises:
        RedepthError: what the run ended with.
    """
    last_report.set(None)
    planned_before.set(draft)
    try:
        state = label_images(source, out, recipe, ray_address, limit, retry, return_state=True)
    except UNREACHABLE as error:
        say_unreachable(error)
        return _report_or_reason(error)
    if state.name == SKIPPED:
        raise OutputBusy(state.message or "another run is at work on this output")
    return _report_of(state)


def _report_of(state: State[Any]) -> RunReport:
    """Return what a run came to, or raise what it ended with."""
    try:
        report: RunReport = state.result()
    except CancelledRun:
        raise RunStopped(
            "the run was cancelled in Prefect. What is committed stays; the same command resumes"
        ) from None
    except UNREACHABLE as error:
        say_unreachable(error)
        return _report_or_reason(error)
    return report


def _report_or_reason(unreachable: BaseException) -> RunReport:
    """Return the report of a run that could not be told, or raise what the run ended with."""
    report = last_report.get()
    if report is not None:
        return report
    for earlier in _while_handling(unreachable):
        if isinstance(earlier, (RedepthError, KeyboardInterrupt)):
            raise earlier from None
    raise TransientError(
        f"the run ended with Prefect's server, which does not answer ({unreachable}). What is "
        "committed stays; the same command resumes"
    ) from unreachable


def _while_handling(error: BaseException) -> Iterator[BaseException]:
    """Yield what was being handled when an error came up, the last first.

    Prefect tells its server of a failed run in the handler of the failure.
    """
    before = error.__context__
    while before is not None:
        yield before
        before = before.__context__
