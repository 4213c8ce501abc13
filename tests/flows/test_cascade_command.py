"""A cascade through the real command line, its two refiners brought by another package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from redepth.store.reader import StoredLabel, open_labels
from tests.refiners import cascade_samples as samples

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
REDEPTH = Path(sys.executable).with_name("redepth")
REDS = (5, 40, 90, 120, 150, 170, 185, 200, 240, 250)
THRESHOLD = 0.7  # of the samples' triage at 30 %


def write_package(folder: Path) -> None:
    """Install the samples as a package of their own, as far as an entry point asks for one."""
    info = folder / "quick_and_thorough-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: quick-and-thorough\nVersion: 0.1")
    lines = [f"{name} = tests.refiners.cascade_samples:{name.upper()}\n" for name in
             ("quick", "thorough")]  # fmt: skip
    (info / "entry_points.txt").write_text("[redepth.refiners]\n" + "".join(lines))


def write_photographs(folder: Path) -> None:
    folder.mkdir()
    for red in REDS:
        pixels = np.full((48, 64, 3), (red, 60, 200), dtype=np.uint8)
        pixels[:, :20] = np.random.default_rng(red).integers(1, 255, (48, 20, 3))
        Image.fromarray(pixels).save(folder / f"{red:03}.png")


def write_recipe(folder: Path) -> None:
    student = samples.write_triage(folder / "student")
    labels = {
        "coarse": {"preset": "mini", "size_px": 64},
        "refiner": {
            "method": "cascade",
            "cheap": {"method": "quick", "weights": {"folder": str(student), "licence": "MIT"}},
            "expensive": {"method": "thorough"},
            "budget": "30%",
        },
        "compute": {"device": "cpu", "batch_size": 3},
    }
    text = yaml.safe_dump({"name": "both", "labels": labels})
    (folder / "both.yaml").write_text(text)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_package(tmp_path / "packages")
    write_photographs(tmp_path / "photos")
    write_recipe(tmp_path)
    return tmp_path


def redepth(place: Path, *arguments: object) -> str:
    paths = f"{place / 'packages'}{os.pathsep}{ROOT}"
    own = {"PYTHONPATH": paths, "PREFECT_HOME": str(place / "prefect"),
           "REDEPTH_CACHE": str(place / "cache")}  # fmt: skip
    done = subprocess.run(
        [str(REDEPTH), *map(str, arguments)],
        cwd=place, env={**os.environ, **own}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Traceback" not in said
    return said


def content(label: StoredLabel) -> tuple[object, ...]:
    row = label.row
    maps = [label[name].tobytes() for name in ("coarse", "refined", "spread", "confidence")]
    return (*maps, row.refined_by, row.predicted_gain, row.caption, row.num_members)


def test_every_image_goes_its_way_whatever_runs_beside_it(place: Path) -> None:
    recipe = ("--recipe", "both.yaml")
    plan = redepth(place, "plan", "photos", "--out", "labels", *recipe)
    assert re.search(r"30% +\S+% .*this recipe", plan)
    assert "quick: MIT" in plan and "thorough: CC-BY-NC-4.0 (non-commercial)" in plan

    redepth(place, "label", "photos", "--out", "labels", *recipe, "--actors", "2")
    labels = open_labels(str(place / "labels"))
    ways = {Path(label.row.uri).stem: label.row.refined_by for label in labels.values()}
    assert ways == {f"{red:03}": "thorough" if red / 255 > THRESHOLD else "quick" for red in REDS}
    recorded = json.loads((place / "labels" / "dataset.json").read_text())
    (card,) = (model for model in recorded["models"] if model["role"] == "triage")
    assert card["facts"]["threshold"] == pytest.approx(THRESHOLD, abs=0.006)
    assert recorded["software"]["quick-and-thorough"] == "0.1"

    share = "quick 6 (60.0%), thorough 4 (40.0%); the budget of thorough is 30%"
    assert f"refined by {share}" in redepth(place, "status", "labels")
    redepth(place, "report", "labels", "--out", "page.html")
    page = (place / "page.html").read_text()
    assert "Expected gain" in page and "4 of 10 labels (40.0%) were made by thorough" in page

    # Interrupted after four, other shards, one actor: every batch is made of others.
    cut = ("--actors", "1", "--set", "run.sharding.images_per_shard=4")
    again = ("label", "photos", "--out", "again", *recipe, *cut)
    redepth(place, *again, "--limit", "4")
    redepth(place, *again)
    other = open_labels(str(place / "again"))
    assert {name: content(label) for name, label in labels.items()} == {
        name: content(label) for name, label in other.items()
    }
