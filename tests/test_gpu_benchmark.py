"""The GPU benchmark runs through at toy size: on a GPU it is to run at the first attempt."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from benchmarks import architectures, gpu
from benchmarks.random_weights import write_models
from redepth.costing.work import recipe_flops, usual_image
from redepth.labelling.labeller import load_labeller

ROOT = Path(__file__).resolve().parents[1]


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    written = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments, "--json", str(written)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=800, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
    return result


def test_the_recipes_of_their_real_size_are_valid(tmp_path: Path) -> None:
    for case in gpu.real_cases(tmp_path):
        recipe = case.load(gpu.machine_settings(toy=False))
        assert recipe_flops(recipe.labels, usual_image(recipe.labels)) is not None
        assert recipe.labels.compute.device == "cuda"
        assert all(model.own.folder is not None for model in recipe.labels.models())


@pytest.mark.slow
def test_random_weights_are_read_as_the_recipes_read_published_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With networks of few channels: those of real size take minutes to make on a CPU."""
    narrow = {"sample_size": 64, "block_out_channels": (32, 32, 32, 32), "layers_per_block": 1}
    task = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 4}

    def latent_depth_unet(num_latents: int, *, has_task: bool = False) -> Any:
        return UNet2DConditionModel(
            in_channels=4 * num_latents, cross_attention_dim=1024, **narrow,
            **(task if has_task else {}),
        )  # fmt: skip

    text_encoder = architectures.clip_text_encoder
    for name, network in {
        "stable_diffusion_unet": lambda: UNet2DConditionModel(cross_attention_dim=768, **narrow),
        "latent_depth_unet": latent_depth_unet,
        "clip_text_encoder": lambda width=768, layers=1: text_encoder(width, 1, vocabulary=600),
    }.items():
        monkeypatch.setattr(architectures, name, network)
    write_models(tmp_path, torch.device("cpu"))
    for case in gpu.real_cases(tmp_path):
        on_cpu = ("labels.compute.device=cpu", "labels.compute.dtype=float32")
        recipe = case.load((*gpu.machine_settings(toy=False), *on_cpu))
        labeller = load_labeller(recipe.labels)
        assert len(labeller.cards) == len(recipe.labels.models())


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_every_kind_of_recipe_is_measured_in_three_ways(tmp_path: Path) -> None:
    result = run(tmp_path, "--toy", "--images", "4")
    cases = result["cases"]
    assert [case["recipe"] for case in cases] == [
        "mini-coarse", "mini-metric", "sharpdepth-mini", "betterdepth-mini", "mini"
    ]  # fmt: skip
    for case in cases:
        assert min(case["redepth"], case["bare_loop"], case["ray_data"]) > 0
        assert 0 < case["busy_share"] <= 1
        assert case["limit_share"] is None, "nobody knows the limit of a CPU"
    assert [case["ms_member_step"] is None for case in cases] == [True] * 4 + [False]


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_a_sleeping_gpu_is_busier_in_stages(tmp_path: Path) -> None:
    shares = run(tmp_path, "--simulated", "--images", "60")["busy_share"]
    assert 0 < shares["one by one"] < 1
    assert 0 < shares["in stages"] <= 1
