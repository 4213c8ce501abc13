"""Training a sharpener: an exact resume after SIGKILL, what moves it, refusals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler
from safetensors.torch import load_file

from redepth.errors import ConfigError
from redepth.refiners.sharpdepth.pipeline import load_sharpdepth
from redepth.settings import Compute, Weights
from redepth.training import CONFIGS
from redepth.training.engine.checkpoints import read_checkpoint
from redepth.training.engine.run import Progress, Run, no_progress
from redepth.training.sharpdepth.parts import new_teacher, read_teacher
from redepth.training.sharpdepth.run import train_sharpdepth
from redepth.training.sharpdepth.settings import SharpDepthTraining
from tests.training.refiner_samples import Outputs, write_scenes

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[2]
MINI = ROOT / "redepth" / "models" / "mini"
NUM_STEPS = 5
SCRIPT = """
from tests.training.test_train_sharpdepth import train_slowly
train_slowly({folder!r}, {out!r})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with pictures in data/ and an untrained teacher in init/."""
    from redepth.training.sharpdepth.parts import save_one_step

    folder = tmp_path_factory.mktemp("sharpener")
    write_scenes(folder / "data")
    save_one_step(new_teacher(MINI / "betterdepth", "fp16", 0), folder / "init", "fp16")
    return folder


def settings(folder: Path | str, *changes: str) -> SharpDepthTraining:
    """Return the paper's settings for five steps on the folder's scenes."""
    return CONFIGS.load(
        SharpDepthTraining,
        "sharpdepth",
        (
            f"data.labels={folder}/data",
            *("data.height_px=32", "data.width_px=32", "data.held_out=2"),
            *(f"init.folder={folder}/init", "init.variant=fp16"),
            *(f"optimiser.num_steps={NUM_STEPS}", "optimiser.batch_size=2"),
            *("optimiser.ema_decay=0.9", "optimiser.learning_rate=1.0e-3"),
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
    (model,) = train_sharpdepth(run)
    return model.folder


def train_slowly(folder: str, out: str) -> None:
    train(folder, out, progress=lambda *_: time.sleep(0.5))


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    return train(folder, folder / "whole")


def weights(model: Path) -> dict[str, torch.Tensor]:
    path = model / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors


def test_what_was_trained_is_a_sharpeners_weights(folder: Path, whole: Path) -> None:
    own = Weights(folder=str(whole), variant="fp16")
    pipeline, card = load_sharpdepth(own, None, Compute(device="cpu"), CPU)
    assert pipeline.latent_shape(32, 30) == (16, 8, 8)
    assert not card.untrained
    before, after = weights(folder / "init"), weights(whole)
    assert any(not torch.equal(before[name], weight) for name, weight in after.items())


def test_it_was_looked_at_on_the_way(whole: Path) -> None:
    lines = (whole.parent / "validation" / "validation.jsonl").read_text().splitlines()
    figures = [json.loads(line) for line in lines]
    assert [line["step"] for line in figures] == [4, 5]
    assert all(0 <= line["agreeing_share"] <= 1 for line in figures)
    assert (whole.parent / "validation" / "validation-000004.png").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_and_resumed_it_ends_with_the_same_weights(folder: Path, whole: Path) -> None:
    out = folder / "killed"
    checkpoint = out / "checkpoints" / "student.safetensors"
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
    resumed, expected = weights(train(folder, out, resume=True)), weights(whole)
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


def test_stopped_anywhere_and_resumed_no_bit_differs(folder: Path, whole: Path) -> None:
    """Full precision: weights and averages of the checkpoints."""
    out = folder / "stopped"

    class Stopped(Exception):
        pass

    def stop(what: str, done: int, total: int, loss: float) -> None:
        if done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        train(folder, out, progress=stop)
    train(folder, out, resume=True)
    first, second = (
        read_checkpoint(run / "checkpoints" / "student.safetensors") for run in (out, whole.parent)
    )
    assert first["losses"] == second["losses"]
    for name, weight in second["network"].items():
        assert torch.equal(first["network"][name], weight)
    for one, other in zip(first["average"], second["average"], strict=True):
        assert torch.equal(one, other)


def test_on_scenes_it_writes_a_metric_net_a_teacher_and_a_student(tmp_path: Path) -> None:
    few = ("data.scale=0.0001", "optimiser.batch_size=2")
    settings = CONFIGS.load(SharpDepthTraining, "sharpdepth-mini", few)
    models = train_sharpdepth(Run(settings, tmp_path, Outputs(), CPU))
    assert [model.folder.name for model in models] == ["metric", "teacher", "model"]
    for model in models:
        assert "redepth train sharpdepth" in (model.folder / "README.md").read_text()
    assert (tmp_path / "metric" / "model.fp16.safetensors").is_file()


def test_a_task_embedding_changes_nothing_until_it_is_trained() -> None:
    parts = new_teacher(MINI / "betterdepth", "fp16", 0)
    one, other = torch.zeros(1, 4), torch.ones(1, 4)
    shown, empty = torch.zeros(1, 32, 8, 8), torch.zeros(1, 2, 96)
    with torch.no_grad():
        first, second = (
            parts.unet(shown, 999, encoder_hidden_states=empty, class_labels=task).sample
            for task in (one, other)
        )
    assert torch.equal(first, second)
    assert isinstance(parts.scheduler, DDIMScheduler)


def test_a_teacher_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no one-step depth model: its UNet takes 48 channels"):
        read_teacher(MINI / "betterdepth", "fp16")


def test_the_papers_settings_are_the_default() -> None:
    own = CONFIGS.load(SharpDepthTraining, "sharpdepth", ("data.labels=a", "init.folder=b"))
    how = own.optimiser
    assert (how.num_steps, how.batch_size, how.learning_rate) == (13000, 16, 1e-6)
    assert (how.ema_decay, how.weight_decay) == (0.9999, 0.0)
    assert (own.reconstruction_weight, own.pure_noise_share) == (0.3, 0.2)


def test_a_training_on_photographs_names_its_teacher() -> None:
    with pytest.raises(ConfigError, match=r"init\.folder is not set: .* needs a teacher"):
        settings("folder", "init=null")
