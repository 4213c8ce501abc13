"""`redepth distill` from the command line: labels, learns, resumes, learns more; recipes work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from redepth.scenes.collection import write_collection
from redepth.scenes.scene import Split
from redepth.store.reader import open_labels
from redepth.types import Outcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

REDEPTH = Path(sys.executable).with_name("redepth")
TEACHER = (
    "--teacher=mini",
    *("--set=labels.refiner.num_steps=2", "--set=labels.refiner.num_members=1"),
    "--set=labels.coarse.size_px=56",
)
TRAINING = (
    "--config=distilled-mini",
    *("--train-set=optimiser.num_steps=12", "--train-set=network.channels=[8, 16]"),
    *("--train-set=data.held_out_share=0.4", "--train-set=run.save_every=4"),
)
COUNT = 14


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distill")
    write_collection(folder / "scenes", ("faces", "dunes"), 12, 64, Split.TRAIN)
    (folder / "scenes" / "contact_sheet.png").unlink(missing_ok=True)
    return folder


def environment(folder: Path) -> dict[str, str]:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {**os.environ, "PREFECT_HOME": str(home), "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}


def redepth(folder: Path, *arguments: object) -> str:
    done = subprocess.run(
        [REDEPTH, *map(str, arguments)],
        env=environment(folder), cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def distil(folder: Path, *more: object) -> str:
    out = folder / "student"
    return redepth(folder, "distill", "scenes", "--out", out, *TEACHER, *TRAINING, *more)


def test_a_student_is_distilled_interrupted_and_resumed(folder: Path) -> None:
    out = folder / "student"
    command = [REDEPTH, "distill", "scenes", "--out", out, *TEACHER, *TRAINING, f"--count={COUNT}"]
    with subprocess.Popen(
        list(map(str, command)), env=environment(folder), cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 400
        while not (out / "teacher" / "labels").is_dir() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130
    said = distil(folder, f"--count={COUNT}")
    found = json.loads((out / "distilled.json").read_text())
    assert (found["num_chosen"], found["round"]) == (COUNT, 1)
    teacher = open_labels(str(out / "teacher"))
    assert teacher.count_outcomes()[Outcome.REFINED] == COUNT
    check = open_labels(str(out / "student-labels" / "round-1"))
    assert len(check) == found["num_held_out"]
    assert set(check) < set(teacher)
    assert f"--recipe {out}/student.yaml" in said
    assert "index.html" in said and (out / "index.html").stat().st_size > 10_000


def test_its_recipes_label_the_collection(folder: Path) -> None:
    """The student's alone, and the cascade: each image says which way it went."""
    out = folder / "student"
    redepth(folder, "label", "scenes", "--out", "all", "--recipe", out / "student.yaml")
    labels = open_labels(str(folder / "all"))
    outcomes = labels.count_outcomes()
    assert outcomes[Outcome.REFINED] + outcomes[Outcome.FELL_BACK] == 24
    gains = labels.table(["predicted_gain"])["predicted_gain"].drop_null()
    assert len(gains) == 24  # of those that fell back as well
    redepth(folder, "label", "scenes", "--out", "sent", "--recipe", out / "cascade.yaml",
            "--set=labels.refiner.budget=30%")  # fmt: skip
    ways = open_labels(str(folder / "sent")).table(["refined_by"])["refined_by"].to_pylist()
    assert set(ways) == {"distilled", "redepth_anything"}


def test_the_same_command_again_does_nothing_anew_and_more_labels_are_another_round(
    folder: Path,
) -> None:
    out = folder / "student"
    weights = out / "training" / "round-1" / "model" / "unet"
    before = {path.name: path.stat().st_mtime_ns for path in (out / "teacher" / "labels").iterdir()}
    (content,) = [path.read_bytes() for path in weights.glob("*.safetensors")]
    distil(folder, f"--count={COUNT}")
    (again,) = [path.read_bytes() for path in weights.glob("*.safetensors")]
    after = {path.name: path.stat().st_mtime_ns for path in (out / "teacher" / "labels").iterdir()}
    assert (again, after) == (content, before)
    said = distil(folder, f"--count={COUNT}", "--add", folder / "sent")
    found = json.loads((out / "distilled.json").read_text())
    assert found["round"] == 2
    assert found["kept_share_before"] is not None
    assert "the round before" in said
