"""What docs/failures.md promises, on a real server: schedules, cancels, kills, two at once."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from redepth.store.reader import open_labels
from redepth.types import LabelRow
from tests.ops.conftest import CANARY
from tests.ops.prefect_stack import BIN, POOL, ROOT, Stack, wait_until, write_photographs

logger = logging.getLogger(__name__)
pytestmark = [pytest.mark.ops, pytest.mark.timeout(600)]

CANCEL_WITHIN_S = 30
# About a tenth of a second an image: long enough to be stopped, short enough to be ended.
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
FAST = """\
name: fast
labels:
  coarse: {preset: mini, weights: {seed: 0}, size_px: 56}
"""
RUN = """\
run:
  actors: {num_actors: 1}
  sharding: {images_per_shard: 4}
  cost: {price_per_actor_hour: 2.5}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes a recipe with its section `deploy`."""

    def write(labels: str, *lines: str) -> Path:
        path = tmp_path / "recipe.yaml"
        places = f"deploy:\n  photos: {tmp_path}/photos\n  out: {tmp_path}/labels\n"
        settings = "".join(f"  {line}\n" for line in lines)
        path.write_text(f"{labels}{RUN}{settings}{places}", encoding="utf-8")
        return path

    return write


def num_parts(out: Path) -> int:
    return len(list((out / "labels").glob("*.parquet")))


def labelled(out: Path) -> list[str]:
    return sorted(Path(row.uri).name for row in rows(out))


def rows(out: Path) -> list[LabelRow]:
    labels = open_labels(str(out))
    return [labels[image_id].row for image_id in labels]


def holder(out: Path) -> object:
    return json.loads((out / "lease.json").read_text(encoding="utf-8"))["holder"]


def names(first: int, stop: int) -> list[str]:
    return [f"{number:04d}.png" for number in range(first, stop)]


# A worker may begin a run some tenths of a second before it is due.
EARLY = timedelta(seconds=1)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_scheduled_runs_fire_and_each_labels_what_is_new(
    stack: Stack, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    write_photographs(tmp_path / "photos", range(6))
    stack.redepth("deploy", recipe(FAST), "--name", "scheduled", "--pool", POOL, "--every", 45)

    def ended() -> list[dict[str, Any]]:
        runs = stack.runs("scheduled")
        return [run for run in runs if run["state"]["type"] == "COMPLETED"]

    wait_until(lambda: len(ended()) >= 1, 180, "the first scheduled run")
    assert labelled(tmp_path / "labels") == names(0, 6)
    write_photographs(tmp_path / "photos", range(6, 9))
    dropped = datetime.now().astimezone()
    wait_until(lambda: len(labelled(tmp_path / "labels")) == 9, 180, "the new photographs")
    wait_until(lambda: len([r for r in ended() if moment(r["start_time"]) > dropped]) >= 2, 240,
               "a run with nothing to do")  # fmt: skip
    stack.redepth("deploy", "pause", "scheduled")
    assert "paused" in stack.redepth("deploy", "list")

    manifests = sorted((tmp_path / "labels" / "manifest").glob("*.parquet"))
    planned = [sorted(Path(u).name for u in pq.read_table(m)["uri"].to_pylist()) for m in manifests]
    assert planned == [names(0, 6), names(6, 9)], "every run labels what is new, and nothing twice"
    for run in ended():
        assert run["auto_scheduled"]
        logger.info("due %s, began %s", run["expected_start_time"], run["start_time"])
        assert moment(run["start_time"]) > moment(run["expected_start_time"]) - EARLY
    assert ended()[0]["name"].startswith(f"label {tmp_path}/photos with fast, 20")
    idle = [run for run in ended() if moment(run["start_time"]) > dropped][-1]
    assert idle["total_run_time"] < 10
    assert "Nothing to do" in stack.artifacts(idle["id"])["run"]

    stack.redepth("deploy", "rm", "scheduled")
    assert "scheduled" not in stack.redepth("deploy", "list")


def test_serve_runs_on_its_own(stack: Stack, recipe: Callable[..., Path], tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", range(3))
    process = stack.begin("serve", recipe(FAST), "--name", "served", "--every", 30)

    def done() -> bool:
        return any(run["state"]["type"] == "COMPLETED" for run in stack.runs("served"))

    wait_until(done, 180, "a served run")
    assert labelled(tmp_path / "labels") == names(0, 3)
    assert "redepth serve" in stack.redepth("deploy", "list")
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=90)
    assert "here, until Ctrl-C" in said
    stack.redepth("deploy", "rm", "served")


def test_the_run_page_answers_at_a_glance(
    stack: Stack, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    write_photographs(tmp_path / "photos", range(7))
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no photograph")
    stack.redepth("deploy", recipe(SLOW), "--name", "page", "--pool", POOL, "--tag", "mine")
    run_id = stack.start_run("page")
    assert stack.wait_for(run_id) == "Completed"
    artifacts = stack.artifacts(run_id)
    page = artifacts["run"]
    assert "**8 of 8** images" in page
    assert "images an hour** on 1 actor" in page
    assert "USD** (" in page
    assert "| 1 | rejected | `not an image" in page
    assert "/reports/" in page
    assert artifacts["progress"] == 100
    assert "data:image/png;base64," in artifacts["worst"]
    assert '"rejected"' in artifacts["outcomes"]
    assert sum(" committed: " in line for line in stack.logs(run_id)) == 2, "one line a shard"
    assert {"mine", "redepth", "recipe:slow"} <= set(stack.run(run_id)["tags"])
    wait_until(lambda: any(run_id in str(e) for e in stack.events("redepth.run.rejecting")), 30,
               "the event that too many are rejected")  # fmt: skip


def cancelled_within(stack: Stack, out: Path, cancel: Callable[[], None]) -> float:
    """Cancel once some shards are committed; return the seconds until no actor is left."""
    wait_until(lambda: num_parts(out) >= 2, 120, "two shards")
    assert stack.actors()
    began = time.monotonic()
    cancel()
    wait_until(lambda: not stack.actors(), CANCEL_WITHIN_S, "the actors to stop")
    return time.monotonic() - began


def test_a_cancelled_run_stops_and_can_go_on(
    stack: Stack, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    write_photographs(tmp_path / "photos", range(400))
    stack.redepth("deploy", recipe(SLOW), "--name", "cancel", "--pool", POOL)
    run_id = stack.start_run("cancel")

    def cancel() -> None:
        command = [str(BIN / "prefect"), "flow-run", "cancel", run_id]
        subprocess.run(command, env=stack.environment, check=True, capture_output=True)

    seconds = cancelled_within(stack, tmp_path / "labels", cancel)
    logger.info("actors gone %.1f s after the cancel", seconds)
    assert stack.wait_for(run_id, 60) == "Cancelled"
    assert holder(tmp_path / "labels") is None
    assert not any("Failed(" in line for line in stack.logs(run_id)), "no shard failed"
    resumes(stack, "cancel", tmp_path, 400)


def resumes(stack: Stack, name: str, folder: Path, number: int) -> None:
    """Run once more: every image is there once, and what was done is not done again."""
    before = {part.name: part.read_bytes() for part in (folder / "labels/labels").iterdir()}
    assert before
    for extra in range(number, number + 2):
        write_photographs(folder / "photos", range(extra, extra + 1))
    for path in sorted((folder / "photos").iterdir())[40:-2]:
        path.unlink()  # the rest would take long
    run_id = stack.start_run(name)
    assert stack.wait_for(run_id, 240) == "Completed"
    assert set(names(number, number + 2)) <= set(labelled(folder / "labels"))
    assert len(labelled(folder / "labels")) == len(set(labelled(folder / "labels")))
    after = {part.name: part.read_bytes() for part in (folder / "labels/labels").iterdir()}
    assert {name: after[name] for name in before} == before


def test_a_run_without_a_worker_hears_a_cancel_too(
    stack: Stack, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    write_photographs(tmp_path / "photos", range(400))
    out = tmp_path / "labels"
    process = stack.begin("label", tmp_path / "photos", "--out", out, "--recipe", recipe(SLOW))

    def cancel() -> None:
        running = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
        (run,) = stack.post("flow_runs/filter", **running)
        state = {"type": "CANCELLING", "name": "Cancelling"}
        stack.post(f"flow_runs/{run['id']}/set_state", state=state)

    seconds = cancelled_within(stack, out, cancel)
    logger.info("actors gone %.1f s after the cancel", seconds)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "cancelled in Prefect" in said
    assert "Traceback" not in said
    assert holder(out) is None


def test_a_worker_that_is_killed_costs_its_run_and_no_label(
    stack: Stack, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    write_photographs(tmp_path / "photos", range(400))
    stack.redepth("deploy", recipe(SLOW), "--name", "worker-killed", "--pool", POOL)
    run_id = stack.start_run("worker-killed")
    seconds = cancelled_within(stack, tmp_path / "labels", lambda: stack.kill_alone("worker"))
    logger.info("actors gone %.1f s after the worker", seconds)
    assert stack.wait_for(run_id, 60) == "Crashed"
    stack.start_worker()
    resumes(stack, "worker-killed", tmp_path, 400)


def test_a_run_outlasts_its_server(
    stack: Stack, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    write_photographs(tmp_path / "photos", range(60))
    stack.redepth("deploy", recipe(SLOW), "--name", "server-killed", "--pool", POOL)
    run_id = stack.start_run("server-killed")
    wait_until(lambda: num_parts(tmp_path / "labels") >= 2, 120, "two shards")
    stack.kill("server")
    wait_until(lambda: num_parts(tmp_path / "labels") == 15, 120, "every shard, without a server")
    stack.start_server()
    assert stack.wait_for(run_id, 240) == "Completed"
    assert labelled(tmp_path / "labels") == names(0, 60)
    wait_until(lambda: holder(tmp_path / "labels") is None, 30, "the lease to be given back")


def test_the_second_of_two_runs_waits(
    stack: Stack, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    write_photographs(tmp_path / "photos", range(120))  # longer than a run takes to start
    out = tmp_path / "labels"
    command = ("label", tmp_path / "photos", "--out", out, "--recipe", recipe(SLOW))
    first = stack.begin(*command)
    wait_until(lambda: num_parts(out) >= 1, 120, "a shard")
    second = stack.begin(*command)
    first.communicate(timeout=400)
    assert first.returncode == 0
    said, _ = second.communicate(timeout=100)
    assert second.returncode == 0, said
    assert "waiting for the lease of" in said
    assert labelled(out) == names(0, 120)
    assert len(list((out / "manifest").iterdir())) == 1, "the second had nothing left to do"


def test_the_second_of_two_runs_ends_where_the_recipe_says_so(
    stack: Stack, recipe: Callable[..., Path], tmp_path: Path
) -> None:
    write_photographs(tmp_path / "photos", range(400))
    out = tmp_path / "labels"
    path = recipe(SLOW, "lease: {when_taken: end, ttl_s: 8}")
    first = stack.begin("label", tmp_path / "photos", "--out", out, "--recipe", path)
    wait_until(lambda: num_parts(out) >= 1, 120, "a shard")
    stack.redepth("deploy", path, "--name", "ends", "--pool", POOL)
    run_id = stack.start_run("ends")
    assert stack.wait_for(run_id) == "Skipped"
    assert "has it since" in stack.run(run_id)["state"]["message"]
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    wait_until(lambda: not stack.actors(), 30, "the killed run's actors")
    assert holder(out) is not None, "a dead run's lease"
    resumes(stack, "ends", tmp_path, 400)


def test_doctor_tells_right_from_wrong(stack: Stack, recipe: Callable[..., Path]) -> None:
    path = recipe(FAST)
    write_photographs(path.parent / "photos", range(1))

    def findings(*options: object, code: int, **extra: str) -> dict[str, str]:
        said = stack.redepth("doctor", path, *options, code=code, **extra)
        lines = [line.split(None, 2) for line in said.splitlines() if not line.startswith(" ")]
        return {check: verdict for verdict, check, _ in lines}

    wait_until(
        lambda: findings("--pool", POOL, code=0) is not None, 30, "the worker's sign of life"
    )
    right = findings("--pool", POOL, code=0)
    assert set(right.values()) == {"good"}
    wrong = findings("--pool", "nowhere", code=2)
    assert (wrong["server"], wrong["pool"], wrong["worker"]) == ("good", "bad", "bad")
    stack.post("work_pools/", name="idle", type="process")
    idle = findings("--pool", "idle", code=2)
    assert (idle["pool"], idle["worker"]) == ("good", "bad")
    gone = findings("--pool", POOL, code=2, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert (gone["server"], gone["pool"], gone["worker"]) == ("bad", "bad", "bad")
    shut = findings("--pool", POOL, code=2, PREFECT_API_AUTH_STRING="wrong:wrong")
    assert shut["server"] == "bad"


def test_the_templates_of_automations_are_taken(stack: Stack) -> None:
    command = [str(BIN / "prefect"), "automation", "create", "--from-file",
               str(ROOT / "infra/automations.yaml")]  # fmt: skip
    done = subprocess.run(
        command, env=stack.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Created 4 automation(s)" in done.stdout


def test_no_secret_is_anywhere(stack: Stack, recipe: Callable[..., Path], tmp_path: Path) -> None:
    """Runs last: in outputs, logs, artifacts, the whole database, and what the terminal says."""
    write_photographs(tmp_path / "photos", range(3))
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no photograph")
    said = stack.redepth("deploy", recipe(FAST), "--name", "canary", "--pool", POOL)
    run_id = stack.start_run("canary")
    assert stack.wait_for(run_id) == "Completed"
    said += stack.redepth("doctor", tmp_path / "recipe.yaml", "--pool", POOL)
    said += stack.redepth("plan", tmp_path / "photos", "--out", "s3://no-such-bucket/x",
                          "--recipe", tmp_path / "recipe.yaml", code=2,
                          AWS_ACCESS_KEY_ID="x", AWS_ENDPOINT_URL="http://127.0.0.1:9")  # fmt: skip
    refused = stack.redepth("deploy", tmp_path / "recipe.yaml", "--name", "x", "--pool", POOL,
                            "--photos", f"s3://key:{CANARY}@bucket/photos", code=2)  # fmt: skip
    assert "would end up in logs" in refused
    dump = subprocess.run(
        ["pg_dump", stack.database.replace("+asyncpg", "")], capture_output=True, check=True
    ).stdout
    assert b"label-images" in dump, "this is the database"
    files = [path for path in stack.folder.parent.rglob("*") if path.is_file()]
    found = [path for path in files if CANARY.encode() in path.read_bytes()]
    assert found == []
    assert CANARY.encode() not in dump
    assert CANARY not in said + refused
    assert len(files) > 20
