"""A run that is SIGKILLed at any operation on files loses nothing and shows nothing half-done."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from redepth.errors import ConfigError
from redepth.store.cleaning import find_leftovers, remove_leftovers
from redepth.store.reader import open_labels
from redepth.store.verification import verify_labels
from tests.store.killed_worker import (
    NUM_IMAGES,
    PER_SHARD,
    run,
    run_killed_at,
    run_killed_writing,
    run_once_labelled,
    run_touched,
    run_touched_killed_at,
)

# Imports once; each process to be killed is a fork of that server.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.store.killed_worker"])
TOMORROW = datetime.now(UTC) + timedelta(days=2)


@pytest.fixture(scope="module")
def quiet_digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = str(tmp_path_factory.mktemp("quiet"))
    run(out)
    found = verify_labels(out)
    assert found.num_images == NUM_IMAGES and found.problems == ()
    return found.content_digest


def in_a_process(work: Callable[[str, int], None], out: Path, number: int) -> int | None:
    process = CONTEXT.Process(target=work, args=(str(out), number))
    process.start()
    process.join(60)
    return process.exitcode


@contextmanager
def polled(out: Path) -> Iterator[list[int]]:
    """Read everything again and again meanwhile; yield the numbers of images that were seen."""
    seen: list[int] = []
    ended = threading.Event()

    def poll() -> None:
        while not ended.is_set():
            try:
                found = verify_labels(str(out))
            except ConfigError:  # no dataset.json yet
                continue
            assert found.problems == (), found.problems
            seen.append(found.num_images)
            time.sleep(0.01)

    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            poll()
        except BaseException as error:
            failures.append(error)

    reader = threading.Thread(target=guarded)
    reader.start()
    try:
        yield seen
    finally:
        ended.set()
        reader.join()
    assert failures == []


def assert_recovers(out: Path, quiet_digest: str) -> None:
    """Check what the kill left, do the run again, clean up."""
    before = num_committed(out)
    assert before % PER_SHARD == 0
    run(str(out))
    assert num_committed(out) == NUM_IMAGES
    list(remove_leftovers(str(out), find_leftovers(str(out), timedelta(0), TOMORROW)))
    assert find_leftovers(str(out), timedelta(0), TOMORROW) == []
    assert not list(out.rglob("*.tmp"))
    found = verify_labels(str(out))
    assert found.problems == ()
    assert found.content_digest == quiet_digest


def num_committed(out: Path) -> int:
    try:
        return len(open_labels(str(out)))
    except ConfigError:
        return 0


EVERY_ONE = pytest.param(1, marks=[pytest.mark.chaos, pytest.mark.timeout(1500)])


@pytest.mark.parametrize("step", [9, EVERY_ONE])
def test_killed_before_an_operation(tmp_path: Path, quiet_digest: str, step: int) -> None:
    """Every operation with `make test-chaos`, every ninth in the fast tests."""
    seen_after_kill = set()
    for operation in range(0, 400, step):
        out = tmp_path / str(operation)
        with polled(out) as seen:
            code = in_a_process(run_killed_at, out, operation)
        assert set(seen) <= {0, PER_SHARD, NUM_IMAGES}
        if code == 0:
            break
        assert code == -signal.SIGKILL
        seen_after_kill.add(num_committed(out))
        assert_recovers(out, quiet_digest)
    assert operation > 60, "a shard alone is ten files, each opened and renamed"
    # The operations after the last commit are fewer than nine.
    perhaps = {NUM_IMAGES} if step > 1 else set()
    assert seen_after_kill | perhaps == {0, PER_SHARD, NUM_IMAGES}


@pytest.mark.parametrize("step", [7, EVERY_ONE])
def test_killed_while_labels_are_kept(tmp_path: Path, step: int) -> None:
    """All photographs were touched and one was overwritten; a reader sees all labels throughout."""
    once, quiet = tmp_path / "once", tmp_path / "quiet"
    run_once_labelled(str(once))
    before = verify_labels(str(once)).content_digest
    shutil.copytree(once, quiet)
    run_touched(str(quiet))
    after = verify_labels(str(quiet)).content_digest
    assert before != after
    seen_after_kill = set()
    for operation in range(0, 400, step):
        out = tmp_path / str(operation)
        shutil.copytree(once, out)
        with polled(out) as seen:
            code = in_a_process(run_touched_killed_at, out, operation)
        assert set(seen) <= {NUM_IMAGES}
        left = verify_labels(str(out)).content_digest
        assert left in (before, after)
        seen_after_kill.add(left)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        run_touched(str(out))
        list(remove_leftovers(str(out), find_leftovers(str(out), timedelta(0), TOMORROW)))
        found = verify_labels(str(out))
        assert (found.content_digest, found.problems) == (after, ())
    assert operation > 20, "a group is ten files, each opened and renamed"
    assert seen_after_kill == {before, after}


@pytest.mark.parametrize("max_bytes", [0, 1, 500, 3000, 6000])
def test_killed_in_the_middle_of_a_file(tmp_path: Path, quiet_digest: str, max_bytes: int) -> None:
    code = in_a_process(run_killed_writing, tmp_path / "out", max_bytes)
    assert code == -signal.SIGXFSZ
    assert_recovers(tmp_path / "out", quiet_digest)
