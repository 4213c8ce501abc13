"""A plain `pip install` of the wheel, in an environment of its own, away from the clone.

No constraint says which releases to take: what a stranger gets is what pip chooses today.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[2]
NOT_TAKEN_OVER = ("PYTHONPATH", "VIRTUAL_ENV", "PREFECT_HOME", "PREFECT_API_URL")
NUM_PHOTOS = 3

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, install it with all that it needs, and return the environment's bin."""
    wheels, home = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("environment")
    pip = ("-m", "pip", "-qq", "--disable-pip-version-check")
    wheel = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, ROOT)
    subprocess.run([sys.executable, *pip, *map(str, wheel)], check=True)
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    (built,) = wheels.glob("redepth-*.whl")
    subprocess.run([home / "bin" / "python", *pip, "install", f"{built}[s3]"], check=True)
    return home / "bin"


@pytest.fixture(scope="session")
def run(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return what runs a command of the environment elsewhere; it may neither fail nor warn."""
    elsewhere, home = tmp_path_factory.mktemp("elsewhere"), tmp_path_factory.mktemp("home")
    clean = {name: value for name, value in os.environ.items() if name not in NOT_TAKEN_OVER}

    def run(name: str, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [environment / name, *map(str, arguments)],
            env=clean | {"HOME": str(home), "HF_HUB_OFFLINE": "1"},
            cwd=elsewhere, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == code, said[-4000:]
        assert "Traceback" not in said and "Warning" not in said, said[-4000:]
        return done

    return run


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(NUM_PHOTOS):
        pixels = rng.integers(0, 255, (80, 120, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return folder


def test_what_pip_chose_fits_together(run: Run) -> None:
    run("python", "-m", "pip", "check")


def test_it_is_a_command_and_a_module(run: Run) -> None:
    assert run("redepth", "--version").stdout == run("python", "-m", "redepth", "--version").stdout
    assert "mini" in run("redepth", "recipes").stdout


def test_a_photograph_is_predicted(run: Run, photos: Path, tmp_path: Path) -> None:
    photo = sorted(photos.iterdir())[0]
    run("redepth", "predict", photo, "--recipe", "mini-photo", "--out", tmp_path)
    with (
        Image.open(photo) as seen,
        Image.open(tmp_path / f"{photo.stem}-refined-colours.png") as map_,
    ):
        assert map_.size == seen.size
        assert np.asarray(map_).std() > 0


def test_a_folder_is_labelled(run: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels"
    run("redepth", "label", photos, "--out", out, "--recipe", "mini", "--actors", 1)
    assert f"{NUM_PHOTOS}" in run("redepth", "status", out).stdout
    run("redepth", "verify", out)
    run("redepth", "report", out, "--out", tmp_path / "report.html")


def test_a_bucket_is_labelled(run: Run, photos: Path, s3_bucket: str) -> None:
    import fsspec

    bucket = fsspec.filesystem("s3")
    bucket.put(str(photos), f"{s3_bucket}/photos", recursive=True)
    places = (f"s3://{s3_bucket}/photos", "--out", f"s3://{s3_bucket}/labels")
    run("redepth", "label", *places, "--recipe", "mini-coarse", "--actors", 1)
    run("redepth", "verify", f"s3://{s3_bucket}/labels")


def test_the_doctor_finds_nothing_amiss(run: Run) -> None:
    run("redepth", "doctor", "mini")
