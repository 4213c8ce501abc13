"""Task: drive some shards from their manifest to their commit."""

from __future__ import annotations

from concurrent.futures import as_completed
from dataclasses import dataclass

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from redepth.cluster.pool import LabelPool
from redepth.config import Recipe
from redepth.store.manifest import ShardPlan, read_shard_plans
from redepth.store.shards import ShardCommit, is_committed
from tasks.progress import RunProgress
from tasks.retrying import worth_retrying


@dataclass(frozen=True, slots=True)
class ShardRange:
    """Some consecutive shards of a manifest: what one task run drives."""

    manifest: str
    first: int
    stop: int

    @property
    def name(self) -> str:
        """Return "shard 3" or "shards 3-7", counted from 1."""
        if self.stop - self.first == 1:
            return f"shard {self.stop}"
        return f"shards {self.first + 1}-{self.stop}"


@task(
    task_run_name="{shards.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retry_delay_seconds=exponential_backoff(backoff_factor=5),
    retry_jitter_factor=0.5,
    retry_condition_fn=worth_retrying,
)
def refine_shards(
    shards: ShardRange, out: str, recipe: Recipe, pool: LabelPool, progress: RunProgress
) -> int:
    """Label every image of these shards and commit each shard as it ends.

    A shard that an earlier attempt committed is left alone.

    Returns:
        Shards committed by this attempt.
    """
    num_committed = 0
    for plan in read_shard_plans(shards.manifest, shards.first, shards.stop):
        if is_committed(out, plan):
            continue
        commit = _refine_shard(plan, out, recipe, pool, progress)
        num_committed += 1
        get_run_logger().info("shard %s committed: %s", plan.shard, commit.words)
    return num_committed


def _refine_shard(
    plan: ShardPlan, out: str, recipe: Recipe, pool: LabelPool, progress: RunProgress
) -> ShardCommit:
    futures = [pool.submit(image) for image in plan.images]
    with progress.shard() as shard_progress:
        for future in as_completed(futures):
            shard_progress.count(future.result().row)
        labelled = [future.result() for future in futures]
        return pool.commit(out, plan, labelled, recipe.labels.storage)
