"""Flow `label-images`: a folder or bucket of photographs becomes refined depth labels.

    plan -> shards -> report

Prefect decides when, retries and shows; Ray labels; the store says what is done.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

from prefect import flow
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from redepth.cluster.pool import LabelPool
from redepth.cluster.session import ray_session
from redepth.config import Recipe, load_recipe
from redepth.failure_budget import FailureBudget
from redepth.images.collection import canonical_uri
from redepth.store.dataset import begin
from redepth.store.planning import Plan
from redepth.types import Outcome
from tasks.plan_shards import plan_shards
from tasks.progress import RunProgress
from tasks.publish_report import RunReport, publish_report
from tasks.refine_shard import ShardRange, refine_shards

# While one shard is written, the other keeps the actors busy; more would only hold more memory.
CONCURRENT_SHARDS = 2


@flow(
    name="label-images",
    flow_run_name="label {source} with {recipe}",
    persist_result=False,
    description="Label a collection of photographs with refined depth.",
    task_runner=cast("TaskRunner[Any]", ThreadPoolTaskRunner(max_workers=CONCURRENT_SHARDS)),
)
def label_images(
    source: str,
    out: str,
    recipe: str = "redepth-anything-fast",
    overrides: tuple[str, ...] = (),
    ray_address: str | None = None,
    limit: int | None = None,
    retry: tuple[Outcome, ...] = (),
) -> RunReport:
    """Label what `source` holds and `out` does not hold yet; see `redepth label --help`.

    Args:
        source: folder, glob, object-store prefix or list of photographs.
        out: where labels go; any fsspec URL.
        recipe: name of a shipped recipe, or path of a YAML file.
        overrides: settings as "key.path=value".
        ray_address: a running Ray cluster; None for a private instance on this machine.
        limit: look at no more than this many photographs.
        retry: outcomes to try again.

    Raises:
        ConfigError: something to mend before anything can start.
    """
    settings = load_recipe(recipe, overrides)
    allowed = settings.run.actors.max_failures
    budget = None if allowed is None else FailureBudget.parse(allowed)
    source, out = canonical_uri(source), canonical_uri(out)
    plan = plan_shards(source, out, settings, limit, frozenset(retry))
    if plan.manifest is None:
        return publish_report(out, settings, plan, {})
    with (
        RunProgress(plan.num_pending, budget) as progress,
        ray_session(ray_address, settings.run.actors),
        LabelPool(settings) as pool,
    ):
        begin(out, settings, pool.cards)
        progress.begin()
        _label(plan, out, settings, pool, progress)
    return publish_report(out, settings, plan, progress.outcomes)


def _label(plan: Plan, out: str, recipe: Recipe, pool: LabelPool, progress: RunProgress) -> None:
    """Drive every shard of the plan, some at a time, until all are committed."""
    task = refine_shards.with_options(retries=recipe.run.sharding.task_retries)
    futures = [
        task.submit(shards, out, recipe, pool, progress)
        for shards in cut_task_runs(plan, recipe.run.sharding.max_task_runs)
    ]
    for future in futures:
        future.result()


def cut_task_runs(plan: Plan, max_task_runs: int) -> list[ShardRange]:
    """Divide the shards evenly over no more than `max_task_runs` task runs, in order."""
    if plan.manifest is None:
        return []
    number = min(plan.num_shards, max_task_runs)
    edges = [round(i * plan.num_shards / number) for i in range(number + 1)]
    return [ShardRange(plan.manifest, first, stop) for first, stop in pairwise(edges)]
