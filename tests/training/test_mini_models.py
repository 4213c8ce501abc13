"""The weights that come with redepth: whole, small, licensed, and better than none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPTokenizer

from redepth.coarse.estimator import TokenDepthEstimator, load_token_estimator
from redepth.coarse.part import Coarse
from redepth.geometry.alignment import fit_affine
from redepth.refiners.redepth_anything import Prior
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior, load_prior
from redepth.scenes.families import FAMILIES, render_scene
from redepth.scenes.scene import Split
from redepth.settings import Compute
from redepth.training import CONFIGS, METHODS
from redepth.training.engine.run import Run
from redepth.training.mini_models import dpt
from redepth.training.mini_models.run import train_mini_models
from redepth.training.mini_models.settings import MiniTraining
from tests.training.refiner_samples import Outputs

CPU = torch.device("cpu")
MODELS = Path(__file__).resolve().parents[2] / "redepth" / "models" / "mini"
MAX_BYTES = 50_000_000


@pytest.fixture(scope="module")
def estimator() -> TokenDepthEstimator:
    torch.set_num_threads(1)
    return load_token_estimator(Coarse(preset="mini", size_px=64), CPU)


@pytest.fixture(scope="module")
def prior() -> DiffusionPrior:
    return load_prior(Prior(preset="mini"), Compute(), CPU)


def test_they_are_small_and_hold_nothing_but_numbers_and_words() -> None:
    files = [path for path in MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MAX_BYTES
    assert {path.suffix for path in files} == {".safetensors", ".json", ".md"}


@pytest.mark.parametrize(
    "name", ["depth", "prior", "dpt", "encoder", "betterdepth", "metric", "sharpdepth"]
)
def test_each_has_a_card(name: str) -> None:
    card = (MODELS / name / "README.md").read_text(encoding="utf-8")
    for said in ("license: apache-2.0", "| seed |", "steps, loss", "## Limits", "docs/"):
        assert said in card


def test_cards_say_trained_and_under_which_licence(
    estimator: TokenDepthEstimator, prior: DiffusionPrior
) -> None:
    for card, name in ((estimator.card, "depth"), (prior.card, "prior")):
        assert not card.untrained
        assert card.licence == "Apache-2.0"
        assert card.source == f"redepth/models/mini/{name}"
        assert len(card.sha256) == 64


def test_the_depth_net_knows_what_it_was_trained_on(estimator: TokenDepthEstimator) -> None:
    """Domes of unseen seeds: aligned in disparity, part of the variance is explained."""
    unexplained = []
    for seed in range(12):
        scene = render_scene("lumps", seed, 64, Split.TUNING)
        raw_hw, inverse_hw = estimator.estimate(scene.rgb_hw3).map_hw, 1.0 / scene.depth_hw
        error_hw = fit_affine(raw_hw, inverse_hw).apply(raw_hw) - inverse_hw
        unexplained.append(error_hw.var() / inverse_hw.var())
    assert np.mean(unexplained) < 0.75


@pytest.mark.parametrize("family", FAMILIES)
def test_every_word_of_a_caption_is_one_token(family: str) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(MODELS / "prior" / "tokenizer")
    caption = render_scene(family, 1, 16, Split.TUNING).caption
    words = caption.replace(",", " ,").split()
    assert tokenizer.tokenize(caption) == [f"{word}</w>" for word in words]


def test_the_prior_predicts_noise_better_than_nothing(prior: DiffusionPrior) -> None:
    scene = render_scene("faces", 0, 64, Split.TUNING)
    image = torch.from_numpy(scene.rgb_hw3).permute(2, 0, 1)[None] / 127.5 - 1.0
    generator = torch.Generator().manual_seed(0)
    noise, posterior = torch.randn(2, 1, *prior.latent_shape, generator=generator)
    with torch.no_grad():
        latents = prior.encode(image, posterior)
    assert 0.3 < latents.std() < 3.0
    abar = prior.alphas_cumprod[500]
    noisy = abar.sqrt() * latents + (1 - abar).sqrt() * noise
    predicted = prior.predict_noise(noisy, torch.tensor([500]), prior.embed([scene.caption]))
    assert (predicted - noise).square().mean() < 0.5


def test_the_command_makes_the_mini_dpt_that_is_shipped(tmp_path: Path) -> None:
    """Same files, classes, sizes and names of weights; a card that names the command."""
    few = ("scenes_scale=0.0001", "steps_scale=0.002", "device=cpu")
    settings = CONFIGS.load(MiniTraining, "mini-dpt", few)
    (model,) = train_mini_models(Run(settings, tmp_path, Outputs(), CPU))
    made, shipped = model.folder, MODELS / "dpt"
    assert {path.name for path in made.iterdir()} == {path.name for path in shipped.iterdir()}
    for name in ("config.json", "preprocessor_config.json"):
        values = [json.loads((folder / name).read_text()) for folder in (made, shipped)]
        for version in values:
            version.pop("transformers_version", None)
        assert values[0] == values[1]
    tensors = [load_file(folder / "model.fp16.safetensors") for folder in (made, shipped)]
    first, second = ({n: (w.shape, w.dtype) for n, w in one.items()} for one in tensors)
    assert first == second
    for folder in (made, shipped):
        assert (
            "Made by `redepth train mini --config mini-dpt`" in (folder / "README.md").read_text()
        )


def test_its_config_is_what_the_card_of_the_shipped_one_says() -> None:
    settings = CONFIGS.load(MiniTraining, "mini-dpt")
    card = (MODELS / "dpt" / "README.md").read_text(encoding="utf-8")
    assert settings.models == ("dpt",)
    assert f"| seed | {settings.seed} |" in card
    assert f"| dpt | {settings.dpt.num_steps} steps" in card
    scenes = ", ".join(f"{count} {family}" for family, count in dpt.NUM_SCENES.items())
    assert f"| {scenes} |" in card


@pytest.mark.parametrize("folder", sorted(path.name for path in MODELS.iterdir()))
def test_every_card_names_a_command_that_there_is(folder: str) -> None:
    card = (MODELS / folder / "README.md").read_text(encoding="utf-8")
    if "Made by `redepth distill`" in card:
        return
    made = re.search(r"Made by `redepth train (\w+)(?: --config ([\w-]+))?`", card)
    assert made is not None
    method, config = METHODS[made[1]], made[2]
    assert config is None or CONFIGS.load(method.settings, config)
