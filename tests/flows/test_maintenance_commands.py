"""`redepth verify` and `redepth clean`, as they are typed."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "store"))

from typer.testing import CliRunner

from flows.cli import app
from redepth.errors import ConfigError
from redepth.store.dataset import begin
from tests.store.store_samples import CARD, commit_all, images, recipe

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
