"""Deployments of `label-images`: a recipe's file becomes one on Prefect's own means, and back.

Prefect schedules, queues and retries; nothing of that is done here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterStartTime,
)
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.sorting import DeploymentSort, FlowRunSort
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.schedules import Cron, Interval, Schedule
from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_API_URL, PREFECT_UI_URL
from prefect.types.entrypoint import EntrypointType

from flows.label_images import label_images
from flows.prefect_connection import explained, require_answer
from redepth import __version__
from redepth.config import Deployment, Recipe
from redepth.errors import ConfigError
from redepth.images.collection import canonical_uri
from redepth.images.uris import is_local
from redepth.redaction import refuse_secrets, shown

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

FLOW = "label-images"
MAX_LISTED = 200
PATIENT_RETRIES = "7"  # after 2, 4, 8, ... s
CONTAINER_POOLS = ("docker", "kubernetes")


@dataclass(frozen=True, slots=True)
class DeploymentLine:
    """One deployment as `redepth deploy list` shows it."""

    name: str
    source: str
    out: str
    schedule: str
    pool: str
    is_paused: bool
    last: str
    next_due: datetime | None


def describe(name: str, recipe: Recipe, wanted: Deployment) -> RunnerDeployment:
    """Make the deployment of a recipe; registers nothing.

    Its parameters are the flow's, so that the form in Prefect's UI has every setting of the recipe,
    with its type, its bounds and its meaning.

    Raises:
        ConfigError: photographs or output are not stated, or the schedule is not one.
    """
    source, out = _places(wanted)
    _require_absolute_weights(recipe)
    strategy = (
        ConcurrencyLimitStrategy.CANCEL_NEW
        if recipe.run.lease.when_taken == "end"
        else ConcurrencyLimitStrategy.ENQUEUE
    )
    try:
        deployment = label_images.to_deployment(
            name,
            schedule=_schedule(wanted),
            concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=strategy),
            parameters={
                "source": source,
                "out": out,
                "recipe": recipe.model_dump(mode="json"),
                "ray_address": wanted.ray_address,
                "retry": list(wanted.retry),
            },
            description=f"{recipe.description or recipe.name}: {source} -> {out}",
            tags=["redepth", f"recipe:{recipe.name}", *wanted.tags],
            version=__version__,
            work_pool_name=wanted.pool,
            job_variables={"env": run_environment(wanted)} if wanted.pool else None,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
    except ValueError as error:
        raise ConfigError(f"no deployment can be made of this: {error}") from error
    assert isinstance(deployment, RunnerDeployment), "a coroutine only where a loop is running"
    return deployment


def run_environment(wanted: Deployment) -> dict[str, str]:
    """Return what a run's process is to have in its environment.

    Prefect's settings for the retries of a whole run, and for a server that is away for minutes
    when the run is to say how it ended; and no module is to come out of the working directory.
    """
    return {
        "PREFECT_CLIENT_MAX_RETRIES": PATIENT_RETRIES,
        "PYTHONSAFEPATH": "1",
        "PREFECT_FLOWS_DEFAULT_RETRIES": str(wanted.retries),
        "PREFECT_FLOWS_DEFAULT_RETRY_DELAY_SECONDS": str(wanted.retry_delay_s),
    }


def register(deployment: RunnerDeployment, image: str | None) -> UUID:
    """Register a deployment with the server, in place of one of the same name.

    Raises:
        ConfigError: no server answers, there is no such pool, or it needs an image.
    """
    pool_name = deployment.work_pool_name
    if pool_name is None:
        raise ConfigError(
            "a deployment needs a work pool: --pool NAME, or deploy.pool in the recipe; on one "
            "machine, redepth serve needs none"
        )
    with connected() as client:
        try:
            pool = client.read_work_pool(pool_name)
        except ObjectNotFound:
            raise ConfigError(
                f"there is no work pool {pool_name}; make it with `prefect work-pool create "
                f"{pool_name} --type process` (or docker, kubernetes)"
            ) from None
        if (pool.type in CONTAINER_POOLS) != (image is not None):
            raise ConfigError(
                f"work pool {pool_name} is of type {pool.type}: it needs an image with redepth in "
                "it (--image, or deploy.image)"
                if image is None
                else f"work pool {pool_name} is of type {pool.type}, which runs no image; leave "
                "--image out"
            )
        return cast("UUID", deployment.apply(image=image))  # a coroutine only in a loop


def lines() -> list[DeploymentLine]:
    """List the deployments of the flow."""
    with connected() as client:
        found = client.read_deployments(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])),
            limit=MAX_LISTED,
            sort=DeploymentSort.NAME_ASC,
        )
        return [_line(client, deployment) for deployment in found]


def pause(name: str) -> None:
    """Stop the schedule of a deployment; a run that goes on is left alone."""
    with connected() as client:
        client.pause_deployment(_named(client, name).id)


def resume(name: str) -> None:
    """Let the schedule of a deployment go on."""
    with connected() as client:
        client.resume_deployment(_named(client, name).id)


def remove(name: str) -> None:
    """Remove a deployment and its schedule; its labels stay."""
    with connected() as client:
        client.delete_deployment(_named(client, name).id)


def start(name: str) -> str:
    """Have a deployment run once, now; return where the run can be watched."""
    with connected() as client:
        run = client.create_flow_run_from_deployment(_named(client, name).id)
    return run_url(run.id)


def run_url(flow_run_id: UUID) -> str:
    """Return the page of a run in Prefect's UI."""
    root = PREFECT_UI_URL.value() or (PREFECT_API_URL.value() or "").removesuffix("/api")
    return f"{root}/runs/flow-run/{flow_run_id}"


def require_server() -> None:
    """Ask the Prefect server that is to be used whether it is there.

    Raises:
        ConfigError: PREFECT_API_URL is not set, nothing answers, or it refuses access.
        TransientError: it answers that it cannot, now.
    """
    if not PREFECT_API_URL.value():
        raise ConfigError(
            "deployments live in a Prefect server and PREFECT_API_URL is not set: start one "
            "with a password, and export PREFECT_API_URL and PREFECT_API_AUTH_STRING "
            "(docs/operations.md has the lines)"
        )
    require_answer()


def _places(wanted: Deployment) -> tuple[str, str]:
    missing = [name for name in ("photos", "out") if getattr(wanted, name) is None]
    if missing:
        raise ConfigError(
            "a deployment must say what it labels and where to: "
            + " and ".join(f"--{name} (or deploy.{name} in the recipe)" for name in missing)
        )
    for url in (wanted.photos, wanted.out, wanted.ray_address):
        refuse_secrets(url or "")
    # The worker may run in another folder.
    return canonical_uri(str(wanted.photos)), canonical_uri(str(wanted.out))


def _require_absolute_weights(recipe: Recipe) -> None:
    """Refuse weights that would be looked for in the folder of each run."""
    for model in recipe.labels.models():
        folder = model.own.folder
        if folder is not None and is_local(folder) and not Path(folder).is_absolute():
            raise ConfigError(
                f"the weights of {model.name} are in {folder}, which is relative: a run has a "
                "folder of its own. State an absolute path in the recipe's weights.folder"
            )


def _schedule(wanted: Deployment) -> Schedule | None:
    if wanted.cron is not None:
        return Cron(wanted.cron, timezone=wanted.timezone)
    if wanted.every_s is not None:
        return Interval(timedelta(seconds=wanted.every_s), timezone=wanted.timezone)
    return None


def _named(client: SyncPrefectClient, name: str) -> DeploymentResponse:
    full = name if "/" in name else f"{FLOW}/{name}"
    try:
        return client.read_deployment_by_name(full)
    except ObjectNotFound:
        raise ConfigError(f"there is no deployment {full}; see redepth deploy list") from None


def _line(client: SyncPrefectClient, deployment: DeploymentResponse) -> DeploymentLine:
    now = datetime.now(UTC)
    of_it = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
    started = client.read_flow_runs(
        deployment_filter=of_it,
        flow_run_filter=FlowRunFilter(start_time=FlowRunFilterStartTime(before_=now)),
        sort=FlowRunSort.START_TIME_DESC,
        limit=1,
    )
    due = client.get_scheduled_flow_runs_for_deployments([deployment.id])
    times = [r.next_scheduled_start_time for r in due if r.next_scheduled_start_time is not None]
    return DeploymentLine(
        name=deployment.name,
        source=shown(str(deployment.parameters.get("source", ""))),
        out=shown(str(deployment.parameters.get("out", ""))),
        schedule=", ".join(_schedule_words(each.schedule) for each in deployment.schedules) or "-",
        pool=deployment.work_pool_name or "redepth serve",
        is_paused=deployment.paused,
        last=started[0].state_name or "" if started else "never run",
        next_due=min((time for time in times if time > now), default=None),
    )


def _schedule_words(schedule: Any) -> str:
    cron = getattr(schedule, "cron", None)
    if cron is not None:
        return f"{cron} ({schedule.timezone or 'UTC'})"
    interval = getattr(schedule, "interval", None)
    return f"every {interval}" if interval is not None else type(schedule).__name__


@contextmanager
def connected() -> Iterator[SyncPrefectClient]:
    """Yield a client of a server that answers.

    Raises:
        ConfigError: PREFECT_API_URL is not set, nothing answers, or it refuses access.
        TransientError: it answers that it cannot, now.
    """
    require_server()
    try:
        with get_client(sync_client=True) as client:
            yield client
    except (httpx.TransportError, PrefectHTTPStatusError) as error:
        raise explained(error, PREFECT_API_REQUEST_TIMEOUT.value()) from error
