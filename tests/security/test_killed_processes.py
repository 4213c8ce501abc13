"""A process of a run is killed or stopped: one line, nothing left behind, and the run resumes."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from redepth.store.reader import open_labels
from tests.security.attacked_run import SLOW, Run, command_line, done, left_of, photographs, running

pytestmark = [pytest.mark.security, pytest.mark.timeout(600)]

NUM_PHOTOS = 12  # in six shards: enough to be killed in the middle of
STEPS = "--set=labels.refiner.num_steps=30"
# Pages of Ray's own, and lines of its workers.
RAY_S_WORDS = ("state-dump", "(raylet", "(pid=", "Traceback", "*** SIG", "ray.kill")


def command(tmp_path: Path, name: str = "out") -> tuple[object, ...]:
    photos = photographs(tmp_path / "photos", NUM_PHOTOS)
    return ("label", photos, "--out", tmp_path / name, *SLOW, STEPS)


def environ(tmp_path: Path) -> dict[str, str]:
    return {"PREFECT_HOME": str(tmp_path / "prefect")}


def num_labels(out: Path) -> int:
    return len(open_labels(str(out)))


def wait_for_a_part(run: Run, out: Path) -> None:
    run.wait_until(lambda: list(out.glob("labels/*.parquet")))


def resumes(tmp_path: Path) -> None:
    ended = done(*command(tmp_path), environ=environ(tmp_path), timeout_s=400)
    assert ended.code == 0, ended.said
    assert num_labels(tmp_path / "out") == NUM_PHOTOS


def assert_plain(said: str) -> None:
    assert not [words for words in RAY_S_WORDS if words in said], said


@pytest.mark.parametrize("victim", ["/raylet/raylet", "/gcs/gcs_server", "ray::RuntimeEnvAgent"])
def test_ray_s_own_process_is_killed(tmp_path: Path, victim: str) -> None:
    with running(*command(tmp_path), environ=environ(tmp_path)) as run:
        wait_for_a_part(run, tmp_path / "out")
        tree = run.tree
        run.named(victim)[0].kill()
        ended = run.ended(60)
    assert ended.code == 1, ended.said
    assert ended.said.count("error:") == 1, ended.said
    assert "has ended" in ended.said and "the same command resumes" in ended.said
    assert_plain(ended.said)
    assert left_of(tree) == []
    if victim == "/raylet/raylet":
        resumes(tmp_path)


@pytest.mark.parametrize("victim", ["ray::ShardWriter", "ray::LabelActor"])
def test_a_worker_is_killed(tmp_path: Path, victim: str) -> None:
    with running(*command(tmp_path), environ=environ(tmp_path)) as run:
        wait_for_a_part(run, tmp_path / "out")
        tree = run.tree
        run.named(victim)[0].kill()
        ended = run.ended(400)
    assert ended.code == 0, ended.said
    assert num_labels(tmp_path / "out") == NUM_PHOTOS
    assert_plain(ended.said)
    assert left_of(tree) == []


def test_the_driver_is_killed(tmp_path: Path) -> None:
    with running(*command(tmp_path), environ=environ(tmp_path)) as run:
        wait_for_a_part(run, tmp_path / "out")
        ray = run.ray()
        assert len(ray) > 5
        run.process.kill()
        run.process.wait()
        # Ray's two agents try for a minute to tell the directory, which is gone as well.
        agents = [process for process in ray if "Agent" in command_line(process)]
        assert left_of([process for process in ray if process not in agents], 30) == []
        assert left_of(agents, 100) == []


def test_the_driver_is_stopped_for_a_while(tmp_path: Path) -> None:
    with running(*command(tmp_path), environ=environ(tmp_path)) as run:
        wait_for_a_part(run, tmp_path / "out")
        run.process.send_signal(signal.SIGSTOP)
        time.sleep(45)
        run.process.send_signal(signal.SIGCONT)
        ended = run.ended(400)
    assert ended.code == 0, ended.said
    assert num_labels(tmp_path / "out") == NUM_PHOTOS
    assert_plain(ended.said)


def test_two_runs_and_what_the_environment_says_of_another_ray(tmp_path: Path) -> None:
    """A RAY_ADDRESS that leads nowhere, other settings of a cluster, and a second run beside."""
    theirs = {
        "RAY_ADDRESS": "192.0.2.1:6379",
        "RAY_AUTH_MODE": "disabled",
        "RAY_REDIS_ADDRESS": "192.0.2.1:6380",
        "RAY_GCS_SERVER_PORT": "1",
        "RAY_TMPDIR": "/nowhere",
        "RAY_RUNTIME_ENV_HOOK": "no.such.hook",
        "RAY_CLIENT_MODE": "1",
        "http_proxy": "http://192.0.2.1:3128",
        "https_proxy": "http://192.0.2.1:3128",
    }
    with (
        running(*command(tmp_path, "first"), environ={"PREFECT_HOME": str(tmp_path / "a")}) as one,
        running(
            *command(tmp_path, "second"), environ={"PREFECT_HOME": str(tmp_path / "b"), **theirs}
        ) as two,
    ):
        for ended in (one.ended(500), two.ended(500)):
            assert ended.code == 0, ended.said
            assert_plain(ended.said)
    assert num_labels(tmp_path / "first") == num_labels(tmp_path / "second") == NUM_PHOTOS


def test_a_tmpdir_too_long_for_sockets(tmp_path: Path) -> None:
    long = tmp_path / ("slurm-" + "1" * 90)
    long.mkdir()
    ended = done(
        *command(tmp_path), "--limit=2", environ={**environ(tmp_path), "TMPDIR": str(long)}
    )
    assert ended.code == 0, ended.said


def test_little_shared_memory(tmp_path: Path) -> None:
    """As in a container without --shm-size; the mount is seen by the run alone."""
    mount = "mount -t tmpfs -o size=64m tmpfs /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], check=False).returncode:
        pytest.skip("mounting needs root")
    prefix = ("unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh")
    ended = done(*command(tmp_path), "--limit=2", environ=environ(tmp_path), prefix=prefix)
    assert ended.code == 0, ended.said
    assert_plain(ended.said)


@pytest.mark.parametrize("limit", [64, 256])
def test_few_open_files(tmp_path: Path, limit: int) -> None:
    prefix = ("sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh")
    ended = done(*command(tmp_path), environ=environ(tmp_path), prefix=prefix, timeout_s=60)
    assert ended.code == 2, ended.said
    assert f"too few open files are allowed here: {limit}" in ended.said
