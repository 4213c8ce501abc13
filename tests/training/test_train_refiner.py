"""Training a refiner on data: widened first weights, an exact resume after SIGKILL, refusals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from redepth.datasets import dataset_named
from redepth.errors import ConfigError
from redepth.refiners.betterdepth.pipeline import load_betterdepth
from redepth.settings import Compute, Weights
from redepth.training import CONFIGS
from redepth.training.betterdepth.parts import read_parts
from redepth.training.betterdepth.run import train_betterdepth
from redepth.training.betterdepth.settings import BetterDepthTraining
from redepth.training.draws import step_draws
from redepth.training.engine.checkpoints import read_checkpoint
from redepth.training.engine.run import Progress, Run, no_progress
from redepth.training.examples.samples import DataSource
from tests.training.refiner_samples import (
    Outputs,
    blurred_truth,
    write_scenes,
    write_stable_diffusion,
)

CPU = torch.device("cpu")
NUM_STEPS = 6
ROOT = Path(__file__).resolve().parents[2]
# Trains in a process of its own, slowly enough to be killed between two checkpoints.
SCRIPT = """
from tests.training.test_train_refiner import train_slowly
train_slowly({folder!r}, {out!r})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with first weights in init/ and scenes in data/."""
    folder = tmp_path_factory.mktemp("refiner")
    write_stable_diffusion(folder / "init")
    write_scenes(folder / "data")
    return folder


def settings(folder: Path | str, *changes: str) -> BetterDepthTraining:
    """Return the paper's settings for six steps on the folder's scenes."""
    data = ("folder", "labels")
    return CONFIGS.load(
        BetterDepthTraining,
        "betterdepth",
        (
            *(f"data.{name}={folder}/data" for name in data),
            *("data.format=scenes", "data.height_px=32", "data.width_px=32", "data.held_out=2"),
            f"init.folder={folder}/init",
            *(f"optimiser.num_steps={NUM_STEPS}", "optimiser.batch_size=2"),
            *("optimiser.ema_decay=0.9", "optimiser.accumulate=2"),
            *("run.save_every=2", "run.validate_every=4"),
            *changes,
        ),
    )


def train(
    folder: Path | str,
    out: Path | str,
    *changes: str,
    resume: bool = False,
    progress: Progress = no_progress,
) -> Path:
    run = Run(settings(folder, *changes), Path(out), Outputs(), CPU, resume, progress=progress)
    return train_betterdepth(run).folder


def train_slowly(folder: str, out: str) -> None:
    train(folder, out, progress=lambda *_: time.sleep(0.4))


def weights(model: Path) -> dict[str, torch.Tensor]:
    path = model / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    return train(folder, folder / "whole")


def test_what_was_trained_is_a_refiners_weights(whole: Path) -> None:
    own = Weights(folder=str(whole), variant="fp16")
    pipeline, card = load_betterdepth(own, None, Compute(device="cpu"), CPU)
    assert pipeline.latent_shape(32, 32) == (4, 8, 8)
    assert not card.untrained
    assert "redepth train betterdepth" in (whole / "README.md").read_text()
    for part in ("unet", "vae"):  # it does not say where the first weights were
        assert not json.loads((whole / part / "config.json").read_text())["_name_or_path"]


def test_it_learns_from_a_teachers_labels(folder: Path) -> None:
    """Distilled: labels stand where known depth would; some are kept out, and looked at."""
    write_scenes(folder / "teacher", 10)
    chosen = CONFIGS.load(
        BetterDepthTraining,
        "betterdepth",
        (
            f"data={{kind: labels, labels: [{folder}/teacher], height_px: 32, width_px: 32}}",
            *(f"init.folder={folder}/init", "data.held_out_share=0.4"),
            *("optimiser.num_steps=2", "optimiser.batch_size=2", "run.validate_every=2"),
        ),
    )
    model = train_betterdepth(Run(chosen, folder / "distilled", Outputs(), CPU))
    own = Weights(folder=str(model.folder), variant="fp16")
    load_betterdepth(own, None, Compute(device="cpu"), CPU)
    (seen,) = model.scenes.items()
    assert seen[0] == "labelled images" and 4 <= seen[1] < 20
    assert (folder / "distilled" / "validation" / "validation-000002.png").exists()


def test_it_was_looked_at_on_the_way(whole: Path) -> None:
    lines = (whole.parent / "validation" / "validation.jsonl").read_text().splitlines()
    figures = [json.loads(line) for line in lines]
    assert [line["step"] for line in figures] == [4, 6]
    assert all(0 < line["coarse"] < 1 and line["refined"] > 0 for line in figures)
    assert (whole.parent / "validation" / "validation-000004.png").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_and_resumed_it_ends_with_the_same_weights(folder: Path, whole: Path) -> None:
    out = folder / "killed"
    checkpoint = out / "checkpoints" / "betterdepth.safetensors"
    script = SCRIPT.format(folder=str(folder), out=str(out))
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    try:
        deadline = time.monotonic() + 200
        while not checkpoint.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = len(read_checkpoint(checkpoint)["losses"])
    assert 0 < done < NUM_STEPS
    assert not (out / "model").exists()
    resumed = weights(train(folder, out, resume=True))
    expected = weights(whole)
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


def test_stopped_anywhere_and_resumed_no_bit_differs(folder: Path, whole: Path) -> None:
    """Full precision: weights, optimiser and averages of the checkpoints."""

    class Stopped(Exception):
        pass

    out = folder / "stopped"

    def stop(what: str, done: int, total: int, loss: float) -> None:
        if done == 5:
            raise Stopped

    with pytest.raises(Stopped):
        train(folder, out, progress=stop)
    train(folder, out, resume=True)
    first, second = (
        read_checkpoint(run / "checkpoints" / "betterdepth.safetensors")
        for run in (out, whole.parent)
    )
    assert first["losses"] == second["losses"]
    for name, weight in second["network"].items():
        assert torch.equal(first["network"][name], weight)
    for one, other in zip(first["average"], second["average"], strict=True):
        assert torch.equal(one, other)


def test_a_batch_is_a_function_of_its_draws(folder: Path) -> None:
    data = dataset_named("scenes").open(folder / "data")

    def drawn(num_threads: int) -> list[torch.Tensor]:
        source = DataSource(data, blurred_truth(data), (24, 28), CPU, num_threads, held_out=2)
        batch = source(5, step_draws(0, "stage", 3, CPU))
        return [batch.image_b3hw, batch.truth_bhw, batch.network_bhw, batch.valid_bhw]

    for one, other in zip(drawn(1), drawn(4), strict=True):
        assert torch.equal(one, other)
    assert drawn(1)[1].shape == (5, 24, 28)


def test_truth_and_coarse_map_are_cut_alike(folder: Path) -> None:
    data = dataset_named("scenes").open(folder / "data")
    source = DataSource(data, blurred_truth(data), (16, 16), CPU)
    batch = source(8, step_draws(0, "stage", 0, CPU))

    def likeness(maps: torch.Tensor) -> float:
        pairs = zip(batch.truth_bhw, maps, strict=True)
        return float(np.mean([np.corrcoef(t.flatten(), m.flatten())[0, 1] for t, m in pairs]))

    assert likeness(batch.network_bhw) > 0.8
    assert likeness(batch.network_bhw.flip(-1)) < likeness(batch.network_bhw) - 0.1


@pytest.mark.parametrize("num_conditions", [0, 1, 2])
def test_it_begins_from_four_eight_or_twelve_channels(tmp_path: Path, num_conditions: int) -> None:
    folder = write_stable_diffusion(tmp_path, num_conditions)
    assert read_parts(folder).unet.config.in_channels == 12


def test_first_weights_that_are_none_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no folder of a diffusers pipeline \(it has no unet/\)"):
        train(folder, tmp_path / "out", f"init.folder={tmp_path}")


def test_resuming_with_other_settings_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    """Before anything is read; how often to save and to validate may change."""
    train(folder, tmp_path, "optimiser.num_steps=2")
    with pytest.raises(ConfigError) as refused:
        train(folder, tmp_path, "optimiser.num_steps=3", "pairing.patch_px=4", resume=True)
    said = str(refused.value)
    assert "begun with other settings" in said
    assert "optimiser.num_steps: 2 -> 3; pairing.patch_px: 8 -> 4" in said
    assert "optimiser.num_steps: 2 " not in (tmp_path / "settings.yaml").read_text()
    train(folder, tmp_path, "optimiser.num_steps=2", "run.save_every=7", resume=True)


def test_what_it_was_trained_with_is_a_config(folder: Path, whole: Path) -> None:
    found = CONFIGS.load(BetterDepthTraining, str(whole.parent / "settings.yaml"))
    assert found == settings(folder)


def test_the_papers_settings_are_the_default() -> None:
    own = CONFIGS.load(
        BetterDepthTraining,
        "betterdepth",
        ("data.folder=a", "data.format=scenes", "data.labels=b", "init.folder=c"),
    )
    how = own.optimiser
    assert (how.num_steps, how.batch_size, how.learning_rate) == (5000, 32, 3e-5)
    assert (how.weight_decay, how.schedule, how.ema_decay) == (0.0, "exponential", None)
    assert own.pairing.patch_threshold == 0.1
    assert not own.pairing.coarse_frame


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("optimiser.batch_size=0", r"optimiser\.batch_size: Input should be greater"),
        ("optimizer.batch_size=4", r"optimizer: there is no such setting \(docs/training\.md"),
        ("data.layout=kitti", r"data\.layout: there is no such setting"),
        ("init=null", r"init\.folder is not set"),
        ("method=sharpdepth", "method: Input should be 'betterdepth'"),
    ],
)
def test_wrong_settings_are_named(change: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings("folder", change)
