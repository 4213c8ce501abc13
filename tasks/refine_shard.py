"""Task: drive some shards from their manifest to their commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled
from prefect.tasks import exponential_backoff

from redepth.cluster.calls import LabelledImage
from redepth.cluster.pool import ActorPool
from redepth.config import Recipe
from redepth.errors import RedepthError, RunStopped
from redepth.images.signed_addresses import SignedAddresses
from redepth.store.kept import labels_to_keep
from redepth.store.lease import Lease
from redepth.store.manifest import ShardPlan, read_shard_plans
from redepth.store.shards import ShardCommit, is_committed
from redepth.types import LabelRow, Outcome
from tasks.progress import RunProgress, ShardProgress
from tasks.retrying import worth_retrying

MAX_NAMED = 5


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
    shards: ShardRange,
    out: str,
    recipe: Recipe,
    pool: ActorPool,
    progress: RunProgress,
    lease: Lease,
    signed: SignedAddresses,
) -> int | State[int]:
    """Label every image of these shards and commit each shard as it ends, while the lease is held.

    A shard that an earlier attempt committed is left alone. Labels of photographs that were only
    touched are kept.

    Returns:
        Shards committed by this attempt, or the state "Cancelled" where the run was stopped: that
        is no failure of the shard, and not to be shown as one.
    """
    num_committed = 0
    try:
        for plan in read_shard_plans(shards.manifest, shards.first, shards.stop):
            if is_committed(out, plan):
                continue
            with progress.shard() as shard_progress:
                before = labels_to_keep(out, plan)
                labelled = _label(plan, before, pool, shard_progress, signed)
                lease.require()
                commit = pool.commit(out, plan, labelled, recipe.labels.storage)
            num_committed += 1
            get_run_logger().info("shard %s committed: %s", plan.shard, _words(commit, labelled))
    except RunStopped as stopped:
        return Cancelled(message=str(stopped))
    return num_committed


def _label(
    plan: ShardPlan,
    before: Mapping[str, LabelRow],
    pool: ActorPool,
    progress: ShardProgress,
    signed: SignedAddresses,
) -> list[LabelledImage]:
    """Label a shard's images; an error that is not an image's outcome says where it came up."""
    images = {
        pool.submit(signed.restored(image), before.get(image.id)): image for image in plan.images
    }
    for future in as_completed(images):
        try:
            progress.count(future.result().row)
        except RunStopped:
            raise
        except RedepthError as error:
            where = f"shard {plan.shard}, image {images[future].id}"
            raise type(error)(f"{where}: {error}") from error
    return [future.result() for future in images]


def _words(commit: ShardCommit, labelled: Sequence[LabelledImage]) -> str:
    """Say in a line how a shard ended, naming the images that failed."""
    failed = [image.row for image in labelled if image.row.outcome is Outcome.FAILED]
    named = "; ".join(f"{row.id}: {row.reason}" for row in failed[:MAX_NAMED])
    more = f"; and {len(failed) - MAX_NAMED} more" if len(failed) > MAX_NAMED else ""
    return f"{commit.words} ({named}{more})" if failed else commit.words
