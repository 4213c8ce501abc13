"""What a run measures of itself is on its page, in the status, and in the next plan."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from redepth.store.objects import open_objects
from redepth.store.run_record import last_speed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REDEPTH = Path(sys.executable).with_name("redepth")
RECIPE = ("--recipe=mini-coarse", "--set=labels.coarse.size_px=56")


def redepth(*arguments: object) -> str:
    command = [str(REDEPTH), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_run_says_how_busy_its_models_were_and_the_next_plan_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDEPTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    photographs, out = tmp_path / "photographs", tmp_path / "labels"
    photographs.mkdir()
    for i in range(24):
        pixels = np.random.default_rng(i).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(photographs / f"{i}.png")

    redepth("label", photographs, "--out", out, *RECIPE, "--actors=1")
    speed = last_speed(open_objects(str(out)))
    assert speed is not None
    assert (speed.num_actors, speed.stages.num_staged, speed.device) == (1, 24, "cpu")
    assert 0 < (speed.busy_share or 0) <= 1

    said = redepth("status", out)
    assert "models busy" in said
    assert "s in the models" in said
    (page,) = out.glob("reports/*/index.html")
    assert "Where the time of the last run went" in page.read_text(encoding="utf-8")

    planned = redepth("plan", photographs, "--out", tmp_path / "others", *RECIPE)
    assert "measured in the last run of this recipe" in planned
    assert "24 images on cpu" in planned
