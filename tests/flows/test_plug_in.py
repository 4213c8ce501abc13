"""The parts of another package, installed, through the whole pipeline and out again."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from redepth.exports.items import file_names
from redepth.store.reader import open_labels
from redepth.types import Outcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "plug_in"
ROOT = EXAMPLE.parents[1]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that sees what is installed here, and more if need be."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    (site,) = (folder / "lib").glob("python*/site-packages")
    here = sysconfig.get_path("purelib")
    (site / "beside.pth").write_text(f"{ROOT}\nimport site; site.addsitedir({here!r})\n")
    return python


def run(python: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-c", "from flows.cli import main; main()", *map(str, arguments)]
    environ = {**os.environ, "PREFECT_HOME": str(cwd / "prefect")}
    return subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=300, check=False
    )


def pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "-q", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def write_photographs(folder: Path, number: int) -> None:
    folder.mkdir()
    for i in range(number):
        pixels = np.random.default_rng(i).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(folder / f"{i}.png")


def write_measured_depth(folder: Path, number: int) -> None:
    folder.mkdir()
    for i in range(number):
        depth_hw = np.random.default_rng(i).uniform(1, 5, (48, 64)).astype(np.float32)
        Image.fromarray(depth_hw).save(folder / f"{i}.pfm")


def test_parts_of_another_package_label_on_two_actors_until_they_are_gone(
    python: Path, tmp_path: Path
) -> None:
    write_photographs(tmp_path / "photos", 6)
    recipe = EXAMPLE / "sketch.yaml"
    label = ("label", "photos", "--out", "labels", "--recipe", recipe, "--actors", "2")

    pip(python, "install", "--no-deps", "--no-build-isolation", str(EXAMPLE))
    plan = run(python, "plan", "photos", "--out", "labels", "--recipe", recipe, cwd=tmp_path)
    assert "brightness: MIT" in plan.stdout, plan.stdout + plan.stderr
    done = run(python, *label, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    labels = open_labels(str(tmp_path / "labels"))
    assert labels.count_outcomes()[Outcome.REFINED] == 6
    recorded = json.loads((tmp_path / "labels" / "dataset.json").read_text())
    assert recorded["software"]["redepth-sketch"] == "0.3.0"
    assert [model["name"] for model in recorded["models"]] == ["brightness"]
    assert recorded["recipe"]["refiner"] == {"method": "unsharp", "amount": 0.8}
    image_id = next(iter(labels))
    assert not np.allclose(labels[image_id].coarse, labels[image_id].refined)

    export = ("export", "labels", "--format", "pfm", "--out", "depth", "--quantity", "refined")
    done = run(python, *export, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in labels:
        file = tmp_path / "depth" / "refined" / f"{file_names([name])[0]}.pfm"
        values = np.frombuffer(file.read_bytes().split(b"\n", 3)[3], "<f4")
        np.testing.assert_array_equal(values, labels[name].refined[::-1].ravel())

    write_measured_depth(tmp_path / "measured", 6)
    truth = ("--ground-truth", "measured", "--dataset-format", "measured")
    compare = ("compare", "labels", "labels", *truth)
    done = run(python, *compare, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "## Against ground truth" in done.stdout

    wrong = run(python, *label, "--set", "labels.refiner.amount=-1", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "labels.refiner.amount" in wrong.stderr
    pip(python, "uninstall", "--yes", "redepth-sketch")
    gone = run(python, *label, cwd=tmp_path)
    assert gone.returncode == 2
    assert "no coarse model is called 'brightness'" in gone.stderr
    assert "redepth.coarse_models" in gone.stderr
    assert "Traceback" not in gone.stderr
    gone = run(python, *export, cwd=tmp_path)
    assert gone.returncode == 2
    assert "no export format is called 'pfm'" in gone.stderr
    assert "redepth.exporters" in gone.stderr
    gone = run(python, *compare, cwd=tmp_path)
    assert gone.returncode == 2
    assert "no data set format is called 'measured'" in gone.stderr
