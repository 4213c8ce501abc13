"""Flow `label-images`: a folder or bucket of photographs becomes refined depth labels.

    lease -> plan -> shards -> report

Prefect decides when, retries and shows; Ray labels; the store says what is done.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Mapping
from contextvars import ContextVar
from itertools import islice, pairwise
from typing import Annotated, Any, cast

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.futures import PrefectFuture, as_completed
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from pydantic import AfterValidator, Field, WithJsonSchema

from flows import terminal
from redepth.cluster.pool import ActorPool
from redepth.cluster.readiness import require_readiness
from redepth.cluster.session import SignalHandler, ray_session
from redepth.config import Recipe
from redepth.costing.last_runs import remember_speed
from redepth.errors import OutputBusy
from redepth.failure_budget import FailureBudget
from redepth.images.allowed import Allowed, allowed_for
from redepth.images.collection import canonical_uri
from redepth.printable import one_line, printable
from redepth.redaction import refuse_secrets, shown
from redepth.store.dataset import begin
from redepth.store.lease import Lease, output_lease
from redepth.store.planning import Draft, Plan
from redepth.types import Outcome
from tasks.cancelling import CancelWatch, is_started_by_worker
from tasks.interim_report import InterimReport
from tasks.plan_shards import plan_shards
from tasks.progress import RunProgress
from tasks.publish_report import RunReport, publish_report, write_interim_report
from tasks.refine_shard import ShardRange, refine_shards
from tasks.run_page import RunPage, RunPlace, speed_of

SKIPPED = "Skipped"
# What the run of this context came to: Prefect's state of it is lost where its server is.
last_report: ContextVar[RunReport | None] = ContextVar("last_report", default=None)
# What the command that started the run has planned already: no parameter, as it is this process's.
planned_before: ContextVar[Draft | None] = ContextVar("planned_before", default=None)
# A worker starts a run in a folder of its own, which goes with the run, and labels in it too.
_ABSOLUTE = r"^(/|[A-Za-z][A-Za-z0-9+.:-]*://)"


def require_absolute(place: str) -> str:
    """Return a path or URL that means the same in every folder.

    Raises:
        ValueError: it is relative or empty.
    """
    if re.match(_ABSOLUTE, place) is None:
        raise ValueError(
            f"{place!r} is relative: a run has a folder of its own, which is removed after it. "
            "Give an absolute path (/data/labels) or a URL (s3://bucket/labels)"
        )
    return place


# Prefect's server holds a form to the schema, the run itself to the check.
Place = Annotated[
    str,
    AfterValidator(require_absolute),
    WithJsonSchema({"type": "string", "minLength": 1, "pattern": _ABSOLUTE}),
]


def run_name() -> str:
    """Name a run by what it labels, with which recipe, and when it was due (UTC)."""
    given = flow_run.get_parameters()
    recipe = given["recipe"]
    name = recipe["name"] if isinstance(recipe, Mapping) else recipe.name
    due = flow_run.get_scheduled_start_time()
    return f"label {shown(given['source'])} with {one_line(name)}, {due:%Y-%m-%d %H:%M}"


@flow(
    name="label-images",
    flow_run_name=run_name,
    persist_result=False,
    description="Label a collection of photographs with refined depth.",
    task_runner=cast("TaskRunner[Any]", ThreadPoolTaskRunner()),
)
def label_images(
    source: Place,
    out: Place,
    recipe: Recipe,
    ray_address: Annotated[str, Field(min_length=1)] | None = None,
    limit: Annotated[int, Field(ge=1)] | None = None,
    retry: tuple[Outcome, ...] = (),
) -> RunReport | State[RunReport]:
    """Label what `source` holds and `out` does not hold yet; see `redepth label --help`.

    Args:
        source: folder, glob, object-store prefix or list of photographs; an absolute path or URL.
        out: where labels go; an absolute path or any fsspec URL.
        recipe: all settings; what stands under `labels` must be that of earlier runs on `out`.
        ray_address: a running Ray cluster; None for a private instance on this machine.
        limit: look at no more than this many photographs.
        retry: outcomes to try again.

    Returns:
        How the output stands, or the state "Skipped" where another run is at work on it and the
        recipe says not to wait, or "Cancelled".

    Raises:
        ConfigError: something to fix before anything can start.
    """
    for url in (source, out):
        refuse_secrets(url)
    source, out = canonical_uri(source), canonical_uri(out)
    with CancelWatch() as watch:
        try:
            with output_lease(out, recipe.run.lease, str(flow_run.get_name()), _say) as lease:
                report = _run(source, out, recipe, ray_address, limit, frozenset(retry), lease)
            last_report.set(report)
            return report
        except OutputBusy as busy:
            get_run_logger().warning("%s", printable(str(busy)))
            return Completed(name=SKIPPED, message=printable(str(busy)))
        except (KeyboardInterrupt, TerminationSignal):
            if not watch.has_cancelled:
                raise
            return Cancelled(message="cancelled; what is committed stays, the next run goes on")


def _run(
    source: str,
    out: str,
    recipe: Recipe,
    ray_address: str | None,
    limit: int | None,
    retry: frozenset[Outcome],
    lease: Lease,
) -> RunReport:
    max_failures = recipe.run.actors.max_failures
    budget = None if max_failures is None else FailureBudget.parse(max_failures)
    allowed = allowed_for(source, recipe.run.sources.allow)
    plan = plan_shards(source, out, recipe, limit, retry, planned_before.get())
    if plan.manifest is None:
        return publish_report(out, recipe, plan, {})
    require_readiness(recipe, ray_address)
    with (
        RunProgress(plan.num_pending, budget) as progress,
        RunPage(RunPlace(source, out), recipe, plan, progress) as page,
    ):
        with (
            ray_session(ray_address, recipe.run.actors, _on_sigterm()) as dashboard,
            ActorPool(recipe, allowed=allowed) as pool,
        ):
            page.show_dashboard(dashboard)
            begin(out, recipe, pool.cards)
            progress.begin(pool.num_actors)
            with _interim_report(out, recipe, plan, progress, allowed, page):
                _label(plan, out, recipe, pool, progress, lease)
        # Another run may have done what was left: its report is the one to stay.
        lease.require()
        ended = progress.figures()
        speed = speed_of(ended, recipe)
        report = publish_report(out, recipe, plan, ended.outcomes, allowed, ended.num_kept, speed)
        remember_speed(recipe.labels.digest(), speed)
        page.end(report.page)
    return report


def _interim_report(
    out: str, recipe: Recipe, plan: Plan, progress: RunProgress, allowed: Allowed, page: RunPage
) -> InterimReport:
    def write() -> str | None:
        figures = progress.figures()
        return write_interim_report(out, recipe, plan, figures.num_done - figures.num_kept, allowed)

    def tell(url: str) -> None:
        page.show_report(url)
        terminal.err.print(f"the first labels: {url}", markup=False)

    return InterimReport(write, recipe.run.report_every_s, tell)


def _label(
    plan: Plan, out: str, recipe: Recipe, pool: ActorPool, progress: RunProgress, lease: Lease
) -> None:
    """Drive every shard of the plan, some at a time, until all are committed."""
    task = refine_shards.with_options(retries=recipe.run.sharding.task_retries)
    ranges = iter(cut_task_runs(plan, recipe.run.sharding.max_task_runs))
    running: list[PrefectFuture[int | State[int]]] = []
    while True:
        free = shards_at_once(plan, pool.num_calls) - len(running)
        running += [
            task.submit(shards, out, recipe, pool, progress, lease, plan.signed)
            for shards in islice(ranges, free)
        ]
        if not running:
            return
        ended = next(as_completed(running))
        running.remove(ended)
        ended.result()


def shards_at_once(plan: Plan, num_calls: int) -> int:
    """Return how many shards keep so many calls going while one more is written.

    Of shards as large as the plan's are on average; more would only hold more memory.
    """
    return 1 + math.ceil(num_calls * plan.num_shards / max(1, plan.num_pending))


def cut_task_runs(plan: Plan, max_task_runs: int) -> list[ShardRange]:
    """Divide the shards evenly over no more than `max_task_runs` task runs, in order."""
    if plan.manifest is None:
        return []
    number = min(plan.num_shards, max_task_runs)
    edges = [round(i * plan.num_shards / number) for i in range(number + 1)]
    return [ShardRange(plan.manifest, first, stop) for first, stop in pairwise(edges)]


def _on_sigterm() -> SignalHandler | None:
    """Keep Prefect's own handler where a worker started this run: it tells a cancelled run."""
    handler = signal.getsignal(signal.SIGTERM)
    return handler if is_started_by_worker() and callable(handler) else None


def _say(words: str) -> None:
    """Tell both who watches in Prefect and who sits at the terminal."""
    get_run_logger().warning("%s", printable(words))
    terminal.err.print(words, markup=False)
