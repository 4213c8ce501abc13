"""Real runs where something else of the machine is wrong, from the start or from the middle on."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from redepth.store.reader import open_labels
from redepth.store.verification import verify_labels
from redepth.types import Outcome
from tests.faults.test_full_and_read_only import can_mount
from tests.security.attacked_run import (
    QUICK,
    Ended,
    Run,
    done,
    left_of,
    photographs,
    running,
)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

needs_mounts = pytest.mark.skipif(not can_mount(), reason="needs Linux user namespaces to mount")
RAY = Path(sys.executable).with_name("ray")
NUM_PHOTOS = 12
# Long enough to be disturbed, in six shards.
SETTINGS = (
    "--recipe=mini",
    "--set=labels.coarse.size_px=56",
    "--set=labels.refiner.num_steps=30",
    "--set=run.sharding.images_per_shard=2",
    "--actors=1",
)
RAY_S_WORDS = ("(raylet", "(pid=", "Traceback", "state-dump")


def command(tmp_path: Path, *settings: str) -> tuple[object, ...]:
    photos = photographs(tmp_path / "photos", NUM_PHOTOS)
    return ("label", photos, "--out", tmp_path / "out", *(settings or SETTINGS))


def environ(tmp_path: Path) -> dict[str, str]:
    return {"PREFECT_HOME": str(tmp_path / "prefect")}


def wait_for_a_part(run: Run, tmp_path: Path) -> None:
    run.wait_until(lambda: list((tmp_path / "out").glob("labels/*.parquet")))


def assert_plain(ended: Ended, code: int) -> None:
    """No word of Ray's, and one line of ours where something is wrong."""
    assert ended.code == code, ended.said
    assert not [words for words in RAY_S_WORDS if words in ended.said], ended.said
    assert ended.said.count("error:") == (0 if code == 0 else 1), ended.said


def all_is_there(tmp_path: Path) -> None:
    found = verify_labels(str(tmp_path / "out"))
    assert (found.num_images, list(found.problems)) == (NUM_PHOTOS, [])


def resumes(tmp_path: Path) -> None:
    assert_plain(done(*command(tmp_path), environ=environ(tmp_path), timeout_s=500), 0)
    all_is_there(tmp_path)


def mounting(where: Path, options: str) -> tuple[str, ...]:
    """Return what starts a command with a small disk at `where`, which nobody else sees."""
    where.mkdir()
    script = f'mount -t tmpfs -o {options} small {where} && exec "$@"'
    return ("unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", script, "sh")


@needs_mounts
def test_a_full_temporary_folder_is_said_before_anything_starts(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    prefix = mounting(folder, "size=1m")
    given = {**environ(tmp_path), "TMPDIR": str(folder)}
    ended = done(*command(tmp_path), environ=given, prefix=prefix)
    assert_plain(ended, 2)
    assert f"temporary files cannot be written in {folder}" in ended.said
    assert not (tmp_path / "out" / "labels").exists()


@needs_mounts
def test_a_temporary_folder_that_fills_up_costs_no_label() -> None:
    """Prefect's database, Ray's logs and spilled objects are there."""
    with tempfile.TemporaryDirectory(prefix="rd", dir="/tmp") as short:  # Ray's sockets are there
        tmp_path = Path(short)
        folder = tmp_path / "t"
        prefix = mounting(folder, "size=400m")
        given = {**environ(tmp_path), "TMPDIR": str(folder)}
        with running(*command(tmp_path), environ=given, prefix=prefix) as run:
            wait_for_a_part(run, tmp_path)
            tree = run.tree
            seen = Path(f"/proc/{run.process.pid}/root{folder}")
            with suppress(OSError), (seen / "filling").open("wb") as file:
                while True:
                    file.write(bytes(2**20))
            ended = run.ended(500)
        assert "Traceback" not in ended.said, ended.said
        assert ended.code in (0, 1, 2), ended.said
        assert ended.code == 0 or ended.said.count("error:") == 1, ended.said
        assert left_of(tree) == []
        assert verify_labels(str(tmp_path / "out")).problems == ()
        resumes(tmp_path)


@needs_mounts
def test_a_home_that_is_read_only_does_not_matter(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prefix = mounting(home, "ro")
    unset = ("env", "-u", "PREFECT_HOME", f"HOME={home}")
    ended = done(*command(tmp_path, *QUICK), prefix=(*prefix, *unset))
    assert_plain(ended, 0)
    all_is_there(tmp_path)


@needs_mounts
def test_a_full_prefect_home_does_not_matter(tmp_path: Path) -> None:
    home = tmp_path / "prefect"
    prefix = mounting(home, "size=16k")
    ended = done(*command(tmp_path, *QUICK), environ=environ(tmp_path), prefix=prefix)
    assert_plain(ended, 0)
    all_is_there(tmp_path)


@contextmanager
def another_ray(folder: Path) -> Iterator[str]:
    """Yield the address of a cluster that the same user has started on this machine."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    log = folder / "head.log"
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": str(folder)}
    with log.open("w") as out:
        head = subprocess.Popen(
            [RAY, "start", "--head", "--block", f"--port={port}", "--num-cpus=1",
             "--node-ip-address=127.0.0.1", "--include-dashboard=false", "--disable-usage-stats"],
            env=environment, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while "--block" not in log.read_text():
            assert head.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
        assert head.poll() is None, "the run has ended what is not its own"
    finally:
        head.terminate()
        head.wait(60)


def test_another_ray_of_the_same_user_is_left_alone(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="rd", dir="/tmp") as short:
        with another_ray(Path(short)) as address:
            given = {**environ(tmp_path), "RAY_TMPDIR": short, "RAY_ADDRESS": address}
            ended = done(*command(tmp_path, *QUICK), environ=given)
        (session,) = (path for path in Path(short).rglob("session_2*") if path.is_dir())
        assert not list(session.glob("logs/worker-*")), "no work of the run went there"
    assert_plain(ended, 0)
    all_is_there(tmp_path)


def test_a_working_directory_that_is_gone_is_said(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    prefix = ("sh", "-c", f'cd {gone} && rmdir {gone} && exec "$@"', "sh")
    ended = done(*command(tmp_path), environ=environ(tmp_path), prefix=prefix)
    assert_plain(ended, 2)
    assert "the working directory of this command was removed" in ended.said


def test_a_working_directory_that_goes_in_the_middle_does_not_matter(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    with running(*command(tmp_path), environ=environ(tmp_path), cwd=folder) as run:
        wait_for_a_part(run, tmp_path)
        folder.rmdir()
        ended = run.ended(500)
    assert_plain(ended, 0)
    all_is_there(tmp_path)


def test_photographs_that_go_in_the_middle_are_recorded_and_come_back(tmp_path: Path) -> None:
    with running(*command(tmp_path), environ=environ(tmp_path)) as run:
        wait_for_a_part(run, tmp_path)
        shutil.move(tmp_path / "photos", tmp_path / "away")
        ended = run.ended(500)
    assert_plain(ended, 0)
    all_is_there(tmp_path)
    labels = open_labels(str(tmp_path / "out"))
    gone = labels.count_outcomes()[Outcome.REJECTED] + labels.count_outcomes()[Outcome.FAILED]
    assert 0 < gone < NUM_PHOTOS
    assert {row.reason for row in labels.troubles(NUM_PHOTOS)} != {None}
    shutil.move(tmp_path / "away", tmp_path / "photos")
    again = ("--retry=rejected", "--retry=failed")
    assert_plain(done(*command(tmp_path), *again, environ=environ(tmp_path), timeout_s=500), 0)
    all_is_there(tmp_path)
    assert open_labels(str(tmp_path / "out")).troubles(NUM_PHOTOS) == []


def test_a_terminal_that_is_closed_leaves_nothing_and_the_next_run_goes_on(tmp_path: Path) -> None:
    with running(*command(tmp_path), environ=environ(tmp_path)) as run:
        wait_for_a_part(run, tmp_path)
        tree = run.tree
        assert len(tree) > 5
        run.process.send_signal(signal.SIGHUP)
        run.ended(60)
        assert left_of(tree, 120) == [], "Ray's agents take a minute"
    resumes(tmp_path)


def test_nobody_reads_what_is_printed(tmp_path: Path) -> None:
    """As with `redepth label ... | head -1`."""
    with running(*command(tmp_path, *QUICK), environ=environ(tmp_path)) as run:
        assert run.process.stdout is not None
        assert run.process.stdout.readline()
        run.process.stdout.close()
        assert run.process.wait(300) == 0
    all_is_there(tmp_path)


def test_weights_that_cannot_be_loaded_are_said_without_a_word_of_ray(tmp_path: Path) -> None:
    """The folder is there, so that actors are started and fail."""
    (tmp_path / "weights").mkdir()
    folder = f"--set=labels.coarse.weights.folder={tmp_path / 'weights'}"
    ended = done(*command(tmp_path), folder, environ=environ(tmp_path), timeout_s=400)
    assert_plain(ended, 2)
    assert str(tmp_path / "weights") in ended.said
    assert "LabelActor" not in ended.said


def test_weights_that_are_not_there_are_said_before_anything_starts(tmp_path: Path) -> None:
    folder = f"--set=labels.coarse.weights.folder={tmp_path / 'weights'}"
    ended = done(*command(tmp_path), folder, environ=environ(tmp_path))
    assert_plain(ended, 2)
    assert str(tmp_path / "weights") in ended.said
    assert not (tmp_path / "prefect").exists(), "no server was started"
    assert not (tmp_path / "out").exists()
