"""`redepth distill` from a bucket into a bucket: lists, labels, weights and page lie there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from redepth.scenes.collection import write_collection
from redepth.scenes.scene import Split
from redepth.store.objects import open_objects
from redepth.store.reader import open_labels
from tests.flows.test_distill_command import COUNT, TEACHER, TRAINING

pytestmark = [pytest.mark.s3, pytest.mark.timeout(900)]

REDEPTH = Path(sys.executable).with_name("redepth")


@pytest.fixture(scope="module")
def bucket(new_bucket: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a bucket with 24 scenes below scenes/; the student lies in another one."""
    folder = tmp_path_factory.mktemp("scenes")
    write_collection(folder, ("faces", "dunes"), 12, 64, Split.TRAIN)
    name, client = new_bucket(), boto3.client("s3")
    for path in sorted(folder.rglob("*.png")):
        if path.name != "contact_sheet.png":
            client.upload_file(str(path), name, f"scenes/{path.relative_to(folder).as_posix()}")
    return name


@pytest.fixture(scope="module")
def other(new_bucket: Callable[[], str]) -> str:
    """Return the bucket of the student."""
    return new_bucket()


def distil(bucket: str, other: str, home: Path, *more: str) -> subprocess.CompletedProcess[str]:
    out = f"s3://{other}/student"
    command = [REDEPTH, "distill", f"s3://{bucket}/scenes", "--out", out, *TEACHER, *TRAINING]
    environment = {**os.environ, "PREFECT_HOME": str(home), "COLUMNS": "200"}
    return subprocess.run(
        [*map(str, command), f"--count={COUNT}", *more],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_bucket_needs_a_local_folder_for_the_training(
    bucket: str, other: str, tmp_path: Path
) -> None:
    done = distil(bucket, other, tmp_path)
    assert done.returncode == 2
    assert "name one with --work" in done.stderr


def test_a_student_lies_in_another_bucket_than_its_images(
    bucket: str, other: str, tmp_path: Path
) -> None:
    done = distil(bucket, other, tmp_path, f"--work={tmp_path}/training")
    assert done.returncode == 0, done.stdout + done.stderr
    out = open_objects(f"s3://{other}/student")
    found = json.loads(out.read("distilled.json"))
    assert found["num_chosen"] == COUNT
    assert len(open_labels(f"s3://{other}/student/teacher")) == COUNT
    assert b"Content-Security-Policy" in out.read("index.html")
    model = Path(found["model"])
    for path in model.rglob("*.*"):
        assert out.read(f"model/{path.relative_to(model).as_posix()}") == path.read_bytes()
