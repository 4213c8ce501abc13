"""`redepth train betterdepth` through the real command line: on scenes, and on data with labels."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

REDEPTH = Path(sys.executable).with_name("redepth")
MINI = Path(__file__).resolve().parents[2] / "redepth" / "models" / "mini"
FEW = ("--set", "optimiser.num_steps=2", "--set", "optimiser.batch_size=8", "--set",
       "run.save_every=1", "--set", "run.validate_every=1", "--set", "device=cpu")  # fmt: skip

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


def test_on_scenes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = redepth(
        "train",
        "betterdepth",
        "--out",
        out,
        "--set",
        "data.scale=0.0001",
        "--set",
        "data.vae_steps=1",
        *FEW,
    )
    assert str(out / "losses.png") in said
    assert (out / "losses.png").read_bytes().startswith(b"\x89PNG")
    assert "betterdepth-mini" in (out / "model" / "README.md").read_text()
    assert len((out / "validation" / "validation.jsonl").read_text().splitlines()) == 2


def test_on_data_with_the_coarse_maps_of_a_label_output(tmp_path: Path) -> None:
    data, labels, out = (tmp_path / name for name in ("data", "labels", "out"))
    redepth("scenes", "--out", data, "--count=3", "--size=64", "--family=coins", "--split=train")
    redepth("label", data / "images", "--out", labels, "--recipe=mini-coarse", "--actors=1")
    config = tmp_path / "refiner.yaml"
    values = {
        "method": "betterdepth",
        "data": {"kind": "dataset", "folder": str(data), "format": "scenes",
                 "labels": str(labels), "height_px": 64, "width_px": 64},
        "init": {"folder": str(MINI / "betterdepth"), "variant": "fp16"},
    }  # fmt: skip
    config.write_text(yaml.safe_dump(values))
    train = ("train", "betterdepth", "--config", config, "--out", out, *FEW)
    redepth(*train)
    figures = [
        json.loads(line)
        for line in (out / "validation" / "validation.jsonl").read_text().splitlines()
    ]
    assert [line["step"] for line in figures] == [1, 2]
    weights = out / "model" / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    before = {name: weight.clone() for name, weight in load_file(weights).items()}
    redepth(*train, "--resume")
    said = redepth(*train, "--set", "optimiser.learning_rate=0.5", "--resume", code=2)
    assert "optimiser.learning_rate: 3e-05 -> 0.5" in said.replace("\n", "")
    assert all((weight == before[name]).all() for name, weight in load_file(weights).items())
    refined = redepth(
        "label", data / "images", "--out", tmp_path / "refined", "--recipe=betterdepth-mini",
        "--set", f"labels.refiner.model.weights.folder={out / 'model'}",
        "--actors=1",
    )  # fmt: skip
    assert "refined" in refined


def test_what_is_missing_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    train = ("train", "betterdepth", "--config=betterdepth", "--out", tmp_path / "out")
    assert "data.folder: Field required" in redepth(*train, code=2)
    named = [f"data.{name}={tmp_path}" for name in ("folder", "labels")]
    settings = [*named, "data.format=hypersim", f"init.folder={tmp_path}"]
    said = redepth(*train, *(word for one in settings for word in ("--set", one)), code=2)
    assert "holds no depth in the format hypersim" in said.replace("\n", " ")
    assert not (tmp_path / "out" / "model").exists()
