"""`redepth train mini` through the real command line, at a few steps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from redepth.config import load_recipe
from redepth.lab.bench import Bench
from redepth.lab.experiments import Condition, Subject
from redepth.lab.scoring import Region
from redepth.scenes.scene import Split

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REDEPTH = Path(sys.executable).with_name("redepth")
FEW_STEPS = ("--set", "steps_scale=0.002", "--set", "models=[depth, prior, dpt, encoder]")


def train(out: Path, *more: str) -> str:
    command = [str(REDEPTH), "train", "mini", "--out", str(out), *FEW_STEPS, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mini")
    said = train(out)
    assert str(out / "losses.png") in said
    return out


def weights(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*.safetensors"))
    }


def test_what_was_trained_is_a_recipes_weights(trained: Path) -> None:
    recipe = load_recipe(
        "mini",
        (
            f"labels.coarse.weights.folder={trained / 'depth'}",
            "labels.coarse.weights.variant=fp16",
            f"labels.refiner.prior.weights.folder={trained / 'prior'}",
            "labels.refiner.prior.weights.variant=fp16",
            "labels.refiner.num_steps=2",
        ),
    )
    subject = Subject("coins", 0, Split.TUNING, (Condition.COARSE, Condition.FULL))
    measured = Bench(recipe.labels).measure(subject)
    assert all(np.isfinite(regions[Region.WHOLE].abs_rel) for regions in measured.scores.values())
    assert {card.name for card in Bench(recipe.labels).cards}


def test_each_model_has_its_card_and_the_losses_a_picture(trained: Path) -> None:
    for model in ("depth", "prior", "dpt", "encoder"):
        assert "Made by `redepth train mini" in (trained / model / "README.md").read_text()
    assert (trained / "losses.png").read_bytes().startswith(b"\x89PNG")


def test_resuming_a_training_that_was_done_changes_no_weight(trained: Path) -> None:
    before = weights(trained)
    models = [name for name in before if not name.startswith("checkpoints/")]
    assert len(models) == 6  # depth, vae, unet, text encoder, encoder, dpt
    train(trained, "--resume")
    assert weights(trained) == before
