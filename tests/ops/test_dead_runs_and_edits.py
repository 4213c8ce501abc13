"""What becomes of retries, of recipes that are edited, and of what dead runs hold in Prefect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from redepth.store.reader import open_labels
from tests.ops.prefect_stack import POOL, Stack, prefect_stack, wait_until, write_photographs

pytestmark = [pytest.mark.ops, pytest.mark.timeout(900)]

# Prefect's own patience is 300 s in both cases.
CANCELLING_S = 10
SLOT_S = 30
IMPATIENT = {
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": str(CANCELLING_S),
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "2",
    "PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION": str(SLOT_S),
    "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "2",
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
}
FAST = """\
name: fast
labels:
  coarse: {preset: mini, weights: {seed: 0}, size_px: 56}
"""
SLOW = """\
name: slow
labels:
  coarse: {preset: mini, weights: {seed: 0}, size_px: 56}
  refiner:
    method: redepth_anything
    prior: {preset: mini, weights: {seed: 0}}
    num_members: 1
    num_steps: 12
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with prefect_stack(tmp_path_factory.mktemp("impatient"), IMPATIENT) as running:
        yield running


def write_recipe(folder: Path, labels: str, images_per_shard: int = 4, deploy: str = "") -> Path:
    path = folder / "recipe.yaml"
    path.write_text(
        f"{labels}run:\n  actors: {{num_actors: 1}}\n"
        f"  sharding: {{images_per_shard: {images_per_shard}}}\n"
        f"deploy:\n  photos: {folder}/photos\n  out: {folder}/labels\n{deploy}",
        encoding="utf-8",
    )
    return path


def num_parts(folder: Path) -> int:
    return len(list((folder / "labels" / "labels").glob("*.parquet")))


def test_a_recipe_that_is_edited_changes_nothing_until_it_is_deployed_again(
    stack: Stack, tmp_path: Path
) -> None:
    write_photographs(tmp_path / "photos", range(4))
    stack.redepth("deploy", write_recipe(tmp_path, FAST), "--name", "edited", "--pool", POOL)
    path = write_recipe(tmp_path, FAST, images_per_shard=1)
    assert stack.wait_for(stack.start_run("edited"), 240) == "Completed"
    assert num_parts(tmp_path) == 1, "as it was deployed: four images a shard"
    write_photographs(tmp_path / "photos", range(4, 6))
    stack.redepth("deploy", path, "--name", "edited", "--pool", POOL)
    assert stack.wait_for(stack.start_run("edited"), 240) == "Completed"
    assert num_parts(tmp_path) == 1 + 2, "as it was deployed again: one image a shard"
    stack.redepth("deploy", "rm", "edited")


def test_a_retry_is_the_same_run_once_more(stack: Stack, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, FAST, deploy="  retries: 1\n  retry_delay_s: 15\n")
    stack.redepth("deploy", path, "--name", "retried", "--pool", POOL)
    run_id = stack.start_run("retried")

    def failed_once() -> bool:
        return bool(stack.run(run_id)["state"]["name"] == "AwaitingRetry")

    wait_until(failed_once, 120, "a run without photographs to fail")
    write_photographs(tmp_path / "photos", range(3))
    assert stack.wait_for(run_id, 240) == "Completed"
    assert stack.run(run_id)["run_count"] == 2
    assert len(open_labels(str(tmp_path / "labels"))) == 3
    stack.redepth("deploy", "rm", "retried")


@contextlib.contextmanager
def dead_run(stack: Stack, folder: Path, name: str) -> Iterator[str]:
    """Yield a run that is running in Prefect and whose process and worker were SIGKILLed."""
    write_photographs(folder / "photos", range(200))
    stack.redepth("deploy", write_recipe(folder, SLOW), "--name", name, "--pool", POOL)
    run_id = stack.start_run(name)
    wait_until(lambda: num_parts(folder) >= 2, 240, "two shards")
    stack.kill("worker")
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if run_id in process.environ().get("PREFECT__FLOW_RUN_ID", ""):
                process.kill()
    wait_until(lambda: not stack.actors(), 60, "the actors to go")
    for path in sorted((folder / "photos").iterdir())[12:]:
        path.unlink()  # the rest would take long
    yield run_id
    stack.redepth("deploy", "rm", name)


def completes(stack: Stack, folder: Path, run_id: str) -> None:
    # Prefect's server holds a dead run's slot for up to 300 s; only then does this one begin.
    assert stack.wait_for(run_id, 480) == "Completed"
    labels = open_labels(str(folder / "labels"))
    assert len(labels) >= 12


def test_a_dead_run_that_is_cancelled_is_cancelled_in_the_end(stack: Stack, tmp_path: Path) -> None:
    with dead_run(stack, tmp_path, "stuck") as run_id:
        state = {"type": "CANCELLING", "name": "Cancelling"}
        stack.post(f"flow_runs/{run_id}/set_state", state=state)
        assert stack.run(run_id)["state"]["name"] == "Cancelling"
        assert stack.wait_for(run_id, 6 * CANCELLING_S) == "Cancelled"
        stack.start_worker()
        completes(stack, tmp_path, stack.start_run("stuck"))


def test_a_dead_run_gives_its_slot_back(stack: Stack, tmp_path: Path) -> None:
    """It stays Running, and the deployment's limit is one run at a time."""
    with dead_run(stack, tmp_path, "leaked") as run_id:
        assert stack.run(run_id)["state"]["name"] == "Running"
        stack.start_worker()
        next_id = stack.start_run("leaked")
        completes(stack, tmp_path, next_id)
        assert stack.run(run_id)["state"]["name"] == "Running", "nobody has told Prefect"
        state = {"type": "CRASHED", "name": "Crashed"}
        stack.post(f"flow_runs/{run_id}/set_state", state=state, force=True)
