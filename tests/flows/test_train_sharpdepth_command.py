"""`redepth train sharpdepth` through the real command line: on scenes, and on labelled pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from redepth.store.reader import open_labels
from redepth.types import DepthKind, Outcome

REDEPTH = Path(sys.executable).with_name("redepth")
FEW = ("--set", "optimiser.batch_size=2", "--set", "run.save_every=1", "--set",
       "run.validate_every=1", "--set", "device=cpu")  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def redepth(*arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        [str(REDEPTH), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_the_pipeline_feeds_its_own_training(tmp_path: Path) -> None:
    """Scenes give a teacher; pictures that were labelled in metres give a student; it labels."""
    made, scenes, metric, out = (tmp_path / n for n in ("made", "scenes", "metric", "out"))
    said = redepth("train", "sharpdepth", "--out", made, "--set", "data.scale=0.0001", *FEW)
    written = said.replace("\n", "")
    assert all(f"{name} in {made}" in written for name in ("mini-metric", "sharpdepth-mini"))
    redepth("scenes", "--out", scenes, "--count=3", "--size=64", "--family=fences")
    redepth("label", scenes / "list.csv", "--out", metric, "--recipe=mini-metric", "--actors=1")
    settings = (f"data.labels={metric}", "data.height_px=48", "data.width_px=64",
                f"init.folder={made / 'teacher'}", "init.variant=fp16",
                "optimiser.num_steps=2")  # fmt: skip
    chosen = (word for one in settings for word in ("--set", one))
    train = ("train", "sharpdepth", "--config=sharpdepth", "--out", out, *chosen, *FEW)
    redepth(*train)
    assert (out / "losses.png").read_bytes().startswith(b"\x89PNG")
    assert len((out / "validation" / "validation.jsonl").read_text().splitlines()) == 2
    redepth(
        "label", scenes / "list.csv", "--out", tmp_path / "sharp", "--recipe=sharpdepth-mini",
        "--set", f"labels.refiner.model.weights.folder={out / 'model'}",
        "--set", "labels.refiner.model.weights.variant=fp16", "--actors=1",
        "--set", "labels.refiner.min_agreeing_share=0",
        "--set", "labels.guard.min_rank_correlation=-1",
    )  # fmt: skip
    labels = open_labels(str(tmp_path / "sharp"))
    assert labels.count_outcomes()[Outcome.REFINED] == 3
    assert all(labels[i].row.kind == DepthKind.METRIC_DEPTH for i in labels)


def test_what_is_missing_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    train = ("train", "sharpdepth", "--config=sharpdepth", "--out", tmp_path / "out",
             "--set", f"data.labels={tmp_path}")  # fmt: skip
    assert "init.folder is not set" in redepth(*train, code=2)
    said = redepth(*train, "--set", f"init.folder={tmp_path}", code=2)
    assert str(tmp_path) in said.replace("\n", "")
    assert not (tmp_path / "out" / "model").exists()
