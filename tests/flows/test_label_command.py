"""The main job through the real command line: Prefect's embedded server, Ray actors, a folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import xarray as xr
from PIL import Image

from redepth.store.reader import StoredLabel, open_labels
from redepth.store.verification import verify_labels
from redepth.types import Outcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REDEPTH = Path(sys.executable).with_name("redepth")
TINY = (
    "--recipe=mini",
    "--set=labels.coarse.size_px=56",
    "--set=labels.refiner.num_steps=2",
    "--set=labels.refiner.num_members=2",
)
COARSE = (
    "--recipe=mini-coarse",
    "--set=labels.coarse.size_px=56",
    "--set=labels.coarse.weights.seed=0",
)


@pytest.fixture(scope="session", autouse=True)
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))


def write_photographs(folder: Path, number: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(number):
        pixels = np.random.default_rng(i).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        path = folder / f"{i:04d}.png"
        Image.fromarray(pixels).resize((64, 48)).save(path)
        paths.append(path)
    return paths


def redepth(*arguments: object, code: int = 0) -> str:
    """Run the command line; return what it printed, on both streams."""
    command = [str(REDEPTH), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


def same_bytes(first: StoredLabel, other: StoredLabel) -> bool:
    return all(
        getattr(first, name).tobytes() == getattr(other, name).tobytes()
        for name in ("coarse", "refined", "spread", "confidence")
    )


def outcomes(out: Path) -> dict[str, int]:
    return {outcome.value: n for outcome, n in open_labels(str(out)).count_outcomes().items() if n}


def kill_when(command: Sequence[object], ready: Callable[[], bool]) -> None:
    """Start the command line, wait until `ready`, and SIGKILL it."""
    process = subprocess.Popen(
        [str(REDEPTH), *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(ready, process)
    process.send_signal(signal.SIGKILL)
    process.wait()


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, "the run ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def num_parts(out: Path) -> int:
    return len(list((out / "labels").glob("*.parquet")))


def test_label_is_the_same_alone_in_company_on_two_actors_and_after_a_kill(tmp_path: Path) -> None:
    photos = write_photographs(tmp_path / "photos", 4)
    small_shards = "--set=run.sharding.images_per_shard=1"
    redepth("label", photos[2], "--out", tmp_path / "alone", *TINY, "--actors=1")
    redepth("label", tmp_path / "photos", "--out", tmp_path / "four", *TINY, "--actors=1")
    killed = tmp_path / "killed"
    command = ("label", tmp_path / "photos", "--out", killed, *TINY, "--actors=2", small_shards)
    kill_when(command, lambda: num_parts(killed) >= 1)
    redepth(*command)

    four, resumed = open_labels(str(tmp_path / "four")), open_labels(str(killed))
    assert sorted(four) == sorted(resumed)
    (page,) = (tmp_path / "four" / "reports").glob("*/index.html")
    assert "the run: 4 in " in page.read_text(encoding="utf-8")
    assert len(four) == 4
    assert all(same_bytes(four[image_id], resumed[image_id]) for image_id in four)
    (alone_id,) = alone = open_labels(str(tmp_path / "alone"))
    assert same_bytes(alone[alone_id], four[alone_id])
    assert alone[alone_id].row.num_members == 2
    drift = alone[alone_id].row.drift
    assert drift is not None and drift > 0, "the refiner must have moved the map"
    others = [four[image_id] for image_id in four if image_id != alone_id]
    assert not any(same_bytes(alone[alone_id], other) for other in others)


def test_second_run_removed_part_other_recipe_and_retry(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_photographs(photos, 5)
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff not a photograph")
    command = ("label", photos, "--out", out, *COARSE, "--set=run.sharding.images_per_shard=2")
    said = redepth(*command)
    assert "6 to do in 3 shards" in said
    assert "untrained" in said
    assert outcomes(out) == {"refined": 5, "rejected": 1}

    started = time.monotonic()
    again = redepth(*command)
    assert "Nothing to do: all 6 images" in again
    assert "try again with --retry rejected" in again
    assert time.monotonic() - started < 10

    parts = sorted((out / "labels").glob("*.parquet"))
    kept = {part: part.read_bytes() for part in parts[1:]}
    parts[0].unlink()
    assert "4 done, 2 to do in 1 shard" in redepth(*command)
    assert sorted((out / "labels").glob("*.parquet")) == parts
    assert all(part.read_bytes() == content for part, content in kept.items())

    refused = redepth(*command, "--set=labels.coarse.size_px=70", code=2)
    assert "labels.coarse.size_px: 56 -> 70" in refused

    write_photographs(tmp_path / "others", 1)[0].rename(photos / "broken.jpg")
    assert "1 image changed since" in redepth("plan", *command[1:])
    (photos / "0004.png").unlink()
    said = redepth(*command)
    assert "4 done, 1 to do in 1 shard" in said
    assert "1 image not there any more, labels kept" in said
    assert outcomes(out) == {"refined": 6}
    assert "Nothing to do" in redepth(*command, "--strict", "--retry=rejected")


def test_touched_photographs_keep_their_labels_and_the_changed_one_is_labelled(
    tmp_path: Path,
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    paths = write_photographs(photos, 5)
    with paths[3].open("ab") as file:
        file.write(b"1")
    command = ("label", photos, "--out", out, *COARSE, "--set=run.sharding.images_per_shard=3")
    redepth(*command)
    digest = digest_of(out)
    for path in paths:
        path.touch()
    before = {i: open_labels(str(out))[i].row for i in open_labels(str(out))}
    said = redepth("plan", *command[1:])
    assert "5 images changed since the label was made" in said
    assert "those whose bytes are the same keep their label, each is read once" in said
    assert "at most" in said
    said = " ".join(redepth(*command, "--strict").split())
    assert "0 done, 5 to do in 2 shards" in said
    kept = "5 photographs were touched but have the same bytes: their labels were kept"
    assert f"{kept}." in said
    assert digest_of(out) == digest
    assert f"In the last run, {kept}" in " ".join(redepth("status", out).split())
    pages = sorted((out / "reports").glob("*/index.html"))
    page = pages[-1].read_text(encoding="utf-8")
    assert "Labels kept" in page and "the run: " not in page
    assert "Nothing to do: all 5 images" in redepth(*command)

    with paths[3].open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"2")
    said = redepth(*command)
    assert "4 done, 1 to do in 1 shard" in said and "kept" not in said.split("outcome")[-1]
    after = {i: open_labels(str(out))[i].row for i in open_labels(str(out))}
    made = [row.uri for i, row in after.items() if row.array_group != before[i].array_group]
    assert made == [str(paths[3])]
    assert "problems none" in " ".join(redepth("verify", out).split())


def digest_of(out: Path) -> str:
    found = verify_labels(str(out))
    assert found.problems == ()
    return found.content_digest


def test_strict_says_so_with_its_exit_code(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 1)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"")
    said = redepth(
        "label", tmp_path / "photos", "--out", tmp_path / "out", *COARSE, "--strict", code=1
    )
    assert "1 rejected" in " ".join(said.split())


def test_ctrl_c_leaves_a_resumable_output_and_no_process(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 60)
    out = tmp_path / "out"
    command = ("label", tmp_path / "photos", "--out", out, *COARSE, "--actors=1",
               "--set=run.sharding.images_per_shard=2")  # fmt: skip
    process = subprocess.Popen(
        [str(REDEPTH), *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a process group of its own, as in a terminal
    )
    wait_until(lambda: num_parts(out) >= 2, process)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "the same command resumes" in said
    assert "Traceback" not in said
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert gone and not alive
    done = outcomes(out)["refined"]
    assert 4 <= done < 60
    assert f"{done} done" in redepth(*command)
    assert outcomes(out) == {"refined": 60}


def test_driver_and_actor_killed_halfway_through_200_images(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    paths = write_photographs(photos, 200)
    command = ("label", photos, "--out", out, *COARSE, "--actors=2",
               "--set=run.sharding.images_per_shard=10")  # fmt: skip
    killed_actors: list[psutil.Process] = []

    def halfway() -> bool:
        if num_parts(out) >= 4 and not killed_actors:
            killed_actors.extend(label_actors()[:1])
            killed_actors[0].kill()
        return num_parts(out) >= 10

    kill_when(command, halfway)
    before = outcomes(out)["refined"]
    assert 100 <= before < 200
    said = redepth(*command)
    assert f"{before} done, {200 - before} to do" in said

    assert outcomes(out) == {"refined": 200}
    assert_every_reader_sees_each_image_once(out, [str(path) for path in paths])


def label_actors() -> list[psutil.Process]:
    processes = psutil.process_iter(["cmdline"])
    return [p for p in processes if "ray::LabelActor" in " ".join(p.info["cmdline"] or [])]


def assert_every_reader_sees_each_image_once(out: Path, uris: list[str]) -> None:
    labels = open_labels(str(out))
    table = pq.ParquetDataset(str(out / "labels")).read()
    assert sorted(table["uri"].to_pylist()) == sorted(uris)
    assert len(set(table["id"].to_pylist())) == len(uris) == len(labels)
    (counted,) = duckdb.sql(
        f"select count(distinct id), count(*) from '{out}/labels/*.parquet' "
        f"where outcome = '{Outcome.REFINED.value}'"
    ).fetchall()
    assert counted == (len(uris), len(uris))
    for row in table.select(["id", "array_group", "array_index"]).to_pylist()[::17]:
        group = xr.open_zarr(out / "arrays" / row["array_group"], consolidated=False)
        through_xarray = group["refined"][row["array_index"]].values
        stored = labels[row["id"]]
        height, width = stored.refined.shape
        assert np.array_equal(through_xarray[:height, :width], stored.refined)
        assert np.isfinite(stored.refined).all()


class SlowServer(ThreadingHTTPServer):
    """Gives files once `answers` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), SlowFiles)
        self.answers = threading.Event()


class SlowFiles(BaseHTTPRequestHandler):
    """Gives the file whose path is asked for, once the server answers."""

    server: SlowServer

    def do_GET(self) -> None:
        self.server.answers.wait(120)
        content = Path(self.path).read_bytes()
        with suppress(OSError):  # whoever asked was ended by the time-out
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def slow_server() -> Iterator[SlowServer]:
    server = SlowServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.answers.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_too_many_failures_stop_the_run_and_it_goes_on_once_mended(
    tmp_path: Path, slow_server: SlowServer
) -> None:
    """A server that does not answer is an image that hangs. Broken ones are rejected: no cost."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    paths = write_photographs(photos, 36)
    hanging, broken = paths[9::5], paths[1:9:2]
    for path in broken:
        path.write_bytes(b"\x89PNG broken")
    listed = tmp_path / "list.txt"
    host = f"http://127.0.0.1:{slow_server.server_port}"
    names = [f"{host}{path}" if path in hanging else str(path) for path in paths]
    listed.write_text("\n".join(names), encoding="utf-8")
    command = ("label", listed, "--out", out, *COARSE, "--actors=1", "--max-failures=2",
               "--set=run.sharding.images_per_shard=4", "--allow", host)  # fmt: skip

    said = " ".join(redepth(*command, "--set=run.actors.image_timeout_s=4", code=1).split())
    assert re.search(r"3 of the first \d+ images failed, allowed are 2 ", said)
    assert "what is committed stays, and the same command goes on" in said
    assert "The last failure: " in said and "took longer than 4 s" in said
    before = outcomes(out)
    assert before["rejected"] == len(broken), "more than allowed, but they did not fail"
    assert before.get("failed", 0) <= 2
    done = sum(before.values())
    assert 8 <= done <= 20, "whole shards, and none after the third failure"
    assert "problems none" in " ".join(redepth("verify", out).split())

    slow_server.answers.set()
    write_photographs(photos, 36)
    said = redepth(*command, "--retry=failed", "--retry=rejected")
    assert f"{36 - done + len(broken) + before.get('failed', 0)} to do" in said
    assert outcomes(out) == {"refined": 36}
