"""Task: see what there is to do, and cut it into shards."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from redepth.config import Recipe
from redepth.images.collection import list_images
from redepth.images.noticed import Noticed, as_lines
from redepth.store.dataset import check_recipe
from redepth.store.planning import Draft, Plan, plan_labels
from redepth.types import Outcome
from tasks.retrying import worth_retrying

MAX_FAULTS_LOGGED = 20


@task(
    task_run_name="plan",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=10,
    retry_condition_fn=worth_retrying,
)
def plan_shards(
    source: str,
    out: str,
    recipe: Recipe,
    limit: int | None,
    retry: frozenset[Outcome],
    draft: Draft | None = None,
) -> Plan:
    """List the collection, leave out what is committed, and write the manifest of the rest.

    Args:
        draft: a plan of all this, made just before; it is taken if nothing was committed since.
    """
    check_recipe(out, recipe)
    if draft is not None and draft.is_current():
        plan = draft.publish()
    else:
        collection = source if limit is None else None
        noticed = Noticed()
        images = list_images(source, limit, noticed)
        plan = plan_labels(images, out, recipe, retry, collection=collection, noticed=noticed)
    logger = get_run_logger()
    logger.info(
        "%d images listed, %d done, %d to do in %d shards; %d changed since, %d vanished",
        plan.num_listed,
        plan.num_done,
        plan.num_pending,
        plan.num_shards,
        plan.num_changed,
        plan.num_vanished,
    )
    for line in as_lines(plan.notices, MAX_FAULTS_LOGGED):
        logger.warning("%s", line)
    return plan
