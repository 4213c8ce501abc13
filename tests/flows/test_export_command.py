"""`redepth export`: what is wrong is said before any engine starts, and the whole way once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows import cli
from redepth.config import Storage, load_recipe
from redepth.exports.reading import open_export
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.reader import open_labels
from redepth.store.shards import write_shard
from redepth.types import DepthKind, ImageRef, Label, LabelArrays, LabelRow, Outcome

REDEPTH = Path(sys.executable).with_name("redepth")


@pytest.fixture
def labels(tmp_path: Path) -> str:
    """Return an output of three labels in metres; the last one reaches beyond 65 m."""
    url = str(tmp_path / "labels")
    begin(url, load_recipe("mini"), [])
    refs = tuple(ImageRef(name, f"{name}.png") for name in ("a", "b", "c"))
    made = [label(ref, depth_m) for ref, depth_m in zip(refs, (2.0, 20.0, 80.0), strict=True)]
    write_shard(url, ShardPlan("a" * 16, "a" * 16, refs), made, Storage())
    return url


def label(ref: ImageRef, depth_m: float) -> Label:
    map_hw = np.full((4, 6), depth_m, dtype=np.float32)
    half_hw = np.full_like(map_hw, 0.5)
    row = LabelRow(
        id=ref.id, uri=ref.uri, outcome=Outcome.REFINED, height_px=4, width_px=6,
        kind=DepthKind.METRIC_DEPTH, mean_confidence=0.5,
    )  # fmt: skip
    return Label(row, LabelArrays.of_depth(map_hw, map_hw, half_hw, half_hw))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--quantity", "depth"), "got depth; "),
        (("--where", "depth > 3"), 'Referenced column "depth" not found'),
        (("--set", "metric_scale=0", "--format", "png16"), "greater than 0"),
        (("--set", "metric_scale=256"), "settings of the format npy (it has: none)"),
        (("--set", "metric_scale"), "KEY=VALUE"),
        (("--colmap", "sparse"), "there is no such setting (got 'sparse')"),
        (("--format", "gaussian-splatting"), "give --colmap DIR"),
        (("--format", "jpeg"), "known: png16, npy, exr, webdataset, hf-parquet"),
    ],
)
def test_what_is_wrong_is_said_at_once(
    arguments: tuple[str, ...],
    said: str,
    labels: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    command = ["redepth", "export", labels, "--format", "npy", "--out", str(out), *arguments]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_the_whole_way_and_again(labels: str, tmp_path: Path) -> None:
    out = tmp_path / "depth"
    said = redepth("export", labels, "--format", "png16", "--out", out, home=tmp_path)
    assert "3 images" in said
    assert "24 pixels beyond what the format can say" in said
    assert json.loads((out / "export.json").read_text())["complete"] is True
    np.testing.assert_allclose(open_export(str(out)).read("b", "refined"), 20.0, atol=0.0005)
    (out / "refined" / "a.png").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("[bc].png")}
    redepth("export", labels, "--format", "png16", "--out", out, home=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    read_hw = open_export(str(out)).read("a", "refined")
    np.testing.assert_array_equal(read_hw, open_labels(labels)["a"].refined)


def redepth(*arguments: object, home: Path) -> str:
    environment = {"PREFECT_HOME": str(home / "prefect"), "HOME": str(home), "PATH": "/usr/bin"}
    done = subprocess.run(
        [str(REDEPTH), *map(str, arguments)],
        env=environment, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
