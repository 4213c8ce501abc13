"""`redepth verify` and `redepth clean`, as they are typed."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "store"))

from typer.testing import CliRunner

from flows.cli import app
from redepth.errors import ConfigError
from redepth.store.dataset import begin
from redepth.store.planning import plan_labels
from redepth.store.shards import write_shard
from redepth.types import ImageRef, Label
from tests.store.store_samples import CARD, commit_all, images, label, recipe, shard_plans

DAY_S = 24 * 3600


@pytest.fixture
def out(tmp_path: Path) -> Path:
    begin(str(tmp_path), recipe(), [CARD])
    commit_all(str(tmp_path), images(6), recipe())
    return tmp_path


def run(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return " ".join(done.output.split())


def test_verify_prints_a_digest_and_no_problems(out: Path) -> None:
    said = run("verify", out)
    assert "6 images, 2 array groups" in said and "problems none" in said
    assert re.search(r"sha256 [0-9a-f]{64}\b", said)


def test_verify_names_what_is_wrong_and_fails(out: Path) -> None:
    next((out / "arrays").glob("*/refined/c/0/0/0")).write_bytes(b"")
    said = run("verify", out, code=1)
    assert "wrong" in said and "arrays/" in said


def test_verify_says_whether_the_photographs_were_compared(out: Path) -> None:
    assert "photographs not compared with those that were labelled; --photographs" in run(
        "verify", out
    )
    said = run("verify", out, "--photographs", code=1)
    assert "photographs 0 as they were labelled, 6 not there any more" in said
    assert "0000.jpg is no longer there" in said and "problems none" in said


def test_verify_is_content_where_all_photographs_are_those_that_were_labelled(
    tmp_path: Path,
) -> None:
    refs = [ImageRef(f"{i}", str(tmp_path / f"{i}.jpg")) for i in range(4)]
    for ref in refs:
        Path(ref.uri).write_bytes(ref.id.encode())
    labels = tmp_path / "labels"
    begin(str(labels), recipe(), [CARD])
    (shard,) = shard_plans(plan_labels(refs, str(labels), recipe()))
    made = [label(ref) for ref in refs]
    sha256 = [hashlib.sha256(ref.id.encode()).hexdigest() for ref in refs]
    made = [
        Label(replace(one.row, sha256=digest), one.arrays)
        for one, digest in zip(made, sha256, strict=True)
    ]
    write_shard(str(labels), shard, made, recipe().labels.storage)
    assert "photographs 4 as they were labelled" in run("verify", labels, "--photographs")
    (tmp_path / "2.jpg").write_bytes(b"another")
    said = run("verify", labels, "--photographs", code=1)
    assert "3 as they were labelled, 1 changed since it was labelled" in said
    assert "2.jpg is not the file that was labelled" in said
    assert "problems none" in run("verify", labels), "the labels themselves are sound"


def test_clean_looks_first_and_removes_when_told(out: Path) -> None:
    left = out / "arrays" / "of-a-killed-run"
    left.mkdir()
    (left / "zarr.json").write_text("{}")
    assert "Nothing is left over" in run("clean", out), "it may be of a run that is at work"
    os.utime(left / "zarr.json", (time.time() - 2 * DAY_S,) * 2)
    said = run("clean", out)
    assert "arrays/of-a-killed-run" in said and "Nothing was removed" in said and "--yes" in said
    assert left.exists()
    assert "Removed 1 leftover" in run("clean", out, "--yes")
    assert not left.exists()
    assert "Nothing is left over" in run("clean", out, "--older-than", "0")
    assert "problems none" in run("verify", out)


@pytest.mark.parametrize("command", ["verify", "clean"])
def test_what_is_no_output_is_refused(command: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no labels at"):
        run(command, tmp_path / "nothing")
