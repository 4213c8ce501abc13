"""Task: write what an export still lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from redepth.exports.request import ExportRequest
from redepth.exports.writing import Exported, begin_export, write_pending
from redepth.store.reader import open_labels
from tasks.retrying import worth_retrying

# Told the images there are in all and those that are written.
OnProgress = Callable[[int, int], None]


@task(
    task_run_name="export {labels} as {request.format}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=3,
    retry_delay_seconds=exponential_backoff(backoff_factor=5),
    retry_condition_fn=worth_retrying,
)
def write_export(
    labels: str,
    out: str,
    request: ExportRequest,
    on_progress: OnProgress,
    allow: Sequence[str] = (),
) -> Exported:
    """Export labels into `out`; what an earlier attempt wrote is left alone."""
    plan = begin_export(open_labels(labels), out, request, allow)
    total, done = len(plan.labels), plan.num_done
    on_progress(total, done)

    def count() -> None:
        nonlocal done
        done += 1
        on_progress(total, done)

    exported = write_pending(plan, count)
    get_run_logger().info("%d images, %d of them written now", total, len(plan.pending))
    for reason, number in exported.left_out.items():
        get_run_logger().warning("%d images are left out: the photograph %s", number, reason)
    return exported
