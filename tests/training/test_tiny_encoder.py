"""Distilling the encoder: the loss knows latents and gradients apart, and the command makes it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from redepth.refiners.redepth_anything import Prior
from redepth.refiners.redepth_anything.diffusion import load_prior
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Split
from redepth.settings import Compute
from redepth.training import CONFIGS
from redepth.training.engine.run import SHIPPED, Run
from redepth.training.mini_models import encoder
from redepth.training.mini_models.encoder import distillation_loss, draw_latent_gradients
from redepth.training.mini_models.run import train_mini_models
from redepth.training.mini_models.settings import MiniTraining
from tests.training.refiner_samples import Outputs

CPU = torch.device("cpu")
FILE = "diffusion_pytorch_model.fp16.safetensors"


def pictures(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def teacher(picture_b3hw: Tensor) -> Tensor:
    return functional.avg_pool2d(picture_b3hw, 4)


def loss(student: encoder.Encode) -> float:
    generator = torch.Generator().manual_seed(1)
    return float(distillation_loss(student, teacher, pictures(), generator).detach())


def test_the_teacher_itself_has_no_loss() -> None:
    assert abs(loss(teacher)) < 1e-6


def test_latents_count() -> None:
    assert abs(loss(lambda picture: teacher(picture) + 0.5) - 0.25) < 1e-5


def test_the_direction_of_the_gradient_counts_where_all_latents_are_right() -> None:
    """A student that takes the teacher's latents, and one pixel of sixteen for its gradient."""

    def student(picture: Tensor) -> Tensor:
        own = picture[:, :, ::4, ::4]
        return own + (teacher(picture) - own).detach()

    # One pixel of sixteen against their mean: the cosine is 1 / 4, the length four times as large.
    expected = 1 - 0.25 + 0.1 * torch.log(torch.tensor(4.0)).square()
    assert abs(loss(student) - float(expected)) < 1e-4


def test_the_length_of_the_gradient_counts() -> None:
    def student(picture: Tensor) -> Tensor:
        return 2 * teacher(picture) - teacher(picture).detach()

    assert abs(loss(student) - 0.1 * float(torch.log(torch.tensor(2.0)).square())) < 1e-5


def test_half_of_the_gradients_are_smooth() -> None:
    drawn = draw_latent_gradients((64, 4, 16, 16), torch.Generator().manual_seed(0))
    roughness = drawn.diff(dim=-1).square().mean(dim=(1, 2, 3)) / drawn.var(dim=(1, 2, 3))
    smooth = int((roughness < 0.5).sum())
    assert 20 < smooth < 44
    assert (roughness[roughness >= 0.5] > 1.5).all()


def test_the_command_makes_the_encoder_that_is_shipped(tmp_path: Path) -> None:
    """Same files, class, size and names of weights; a card that names the command."""
    few = ("scenes_scale=0.0001", "steps_scale=0.001", "device=cpu", "encoder.batch_size=2")
    settings = CONFIGS.load(MiniTraining, "mini-encoder", few)
    (model,) = train_mini_models(Run(settings, tmp_path, Outputs(), CPU))
    made, shipped = model.folder, SHIPPED / "encoder"
    assert {path.name for path in made.iterdir()} == {path.name for path in shipped.iterdir()}
    configs = [json.loads((folder / "config.json").read_text()) for folder in (made, shipped)]
    for config in configs:
        config.pop("_diffusers_version")
    assert configs[0] == configs[1]
    tensors = [load_file(folder / FILE) for folder in (made, shipped)]
    first, second = ({n: (w.shape, w.dtype) for n, w in one.items()} for one in tensors)
    assert first == second
    card = (shipped / "README.md").read_text()
    shipped_settings = CONFIGS.load(MiniTraining, "mini-encoder")
    assert f"| encoder | {shipped_settings.encoder.num_steps} steps" in card


def test_the_shipped_one_is_small_and_has_the_gradients_of_the_full_one() -> None:
    """On re-lit or plain pictures it was not trained on; measured in docs/results/ablations.md."""
    assert (SHIPPED / "encoder" / FILE).stat().st_size < 1_000_000
    full, tiny = (
        load_prior(Prior(preset="mini", encoder=name), Compute(), CPU)
        for name in (None, "mini-tiny")
    )
    scenes = [render_scene("faces", seed, 64, Split.TUNING).rgb_hw3 for seed in range(4)]
    rgb = torch.stack([torch.from_numpy(scene) for scene in scenes]).permute(0, 3, 1, 2)
    image = (rgb / 127.5 - 1.0).requires_grad_(True)
    none = torch.zeros(4, *full.latent_shape)
    latents, wanted = tiny.encode(image, none), full.encode(image, none)
    gradient = draw_latent_gradients(wanted.shape, torch.Generator().manual_seed(2))
    assert (latents - wanted).square().mean() < 0.2
    (change,) = torch.autograd.grad(latents, image, gradient)
    (expected,) = torch.autograd.grad(wanted, image, gradient)
    assert functional.cosine_similarity(change.flatten(1), expected.flatten(1)).mean() > 0.7
