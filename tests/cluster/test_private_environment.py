"""What a private Ray takes from the environment, where its files go, what is looked at first."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from redepth.cluster.private_ray import PREFIX, _private_folder, private_environment, short_folder
from redepth.cluster.readiness import require_readiness
from redepth.config import load_recipe
from redepth.errors import ConfigError


def test_settings_of_other_clusters_are_left_out() -> None:
    theirs = {
        "RAY_ADDRESS": "elsewhere:6379",
        "RAY_AUTH_MODE": "disabled",
        "RAY_AUTH_TOKEN": "theirs",
        "RAY_REDIS_ADDRESS": "elsewhere:6380",
        "RAY_RUNTIME_ENV_HOOK": "module.function",
        "RAY_memory_usage_threshold": "0.9",
        "HOME": "me",
    }
    ours = private_environment(theirs, "our-token")
    assert {name for name in ours if name in theirs} == {
        "RAY_AUTH_TOKEN",
        "RAY_memory_usage_threshold",
        "HOME",
    }
    assert ours["RAY_AUTH_TOKEN"] == "our-token"
    assert ours["PYTHONSAFEPATH"] == "1"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("", None), (".", None), (":", None), ("/a:.:/b:", "/a:/b"), ("photos:/a", "/a")],
)
def test_no_relative_folder_stays_on_the_path(theirs: str, ours: str | None) -> None:
    assert private_environment({"PYTHONPATH": theirs}, "t").get("PYTHONPATH") == ours


def test_a_long_tmpdir_is_left_for_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("slurm-job-" + "1" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert short_folder() == Path("/tmp")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigError, match="TMPDIR"):
        short_folder()


def test_folders_of_runs_that_were_killed_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="t") as parent:
        monkeypatch.setattr(tempfile, "tempdir", parent)
        script = (
            "import os, tempfile; from redepth.cluster.private_ray import _private_folder\n"
            f"tempfile.tempdir = {parent!r}\n"
            "with _private_folder() as folder: (folder / 'r').mkdir(); os._exit(9)"
        )
        assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
        (left,) = Path(parent).iterdir()
        with _private_folder() as first, _private_folder() as second:
            assert not left.exists()
            assert first.exists() and second.exists(), "a run beside this one keeps its folder"
            assert first.name.startswith(PREFIX)
        assert not list(Path(parent).iterdir())


def test_too_few_open_files_are_said_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 256))
    with pytest.raises(ConfigError, match=r"256 .ulimit -Hn.*needs 520.*ulimit -n 4096"):
        require_readiness(load_recipe("mini", ["run.actors.num_actors=1"]), None)


def test_a_low_limit_that_may_be_raised_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: asked.append(limits))
    require_readiness(load_recipe("mini", ["run.actors.num_actors=2"]), None)
    assert asked == [(528, 4096)]


def test_a_missing_folder_of_weights_is_said_before_anything_starts(tmp_path: Path) -> None:
    recipe = load_recipe("mini", [f"labels.coarse.weights.folder={tmp_path / 'missing'}"])
    with pytest.raises(ConfigError, match=r"no folder .*missing"):
        require_readiness(recipe, None)
    require_readiness(recipe, "head:6379")
