"""Train BetterDepth: a conditional diffusion refiner of any feed-forward model's depth maps.

Source: BetterDepth (Zhang et al. 2024); what the paper leaves open follows Marigold. What differs
where a setting asks for it: a residual as target and the coarse map's frame (docs/betterdepth.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn

from redepth.refiners.latents.codec import DepthCodec
from redepth.training.betterdepth.coarse_errors import make_coarse
from redepth.training.betterdepth.example_pairs import latent_mask, pair
from redepth.training.betterdepth.noise import annealed_noise
from redepth.training.betterdepth.settings import BetterDepthTraining
from redepth.training.draws import Draws, step_draws
from redepth.training.engine.loop import Stage
from redepth.training.examples.scene_examples import ExampleBatch

STAGE = "betterdepth"
NUM_CONDITIONS = 2  # the picture's latents and the coarse map's, before the noisy ones
Source = Callable[[int, Draws], ExampleBatch]


class Denoiser(nn.Module):
    """The UNet with the empty prompt: what is trained."""

    def __init__(self, unet: UNet2DConditionModel, empty_1lc: Tensor) -> None:
        super().__init__()
        self.unet = unet
        self.empty_1lc: Tensor
        self.register_buffer("empty_1lc", empty_1lc, persistent=False)

    def forward(self, latents_bchw: Tensor, timesteps_b: Tensor) -> Tensor:
        """Return v [B, C, h, w] of [picture, coarse map, noisy target] side by side."""
        prompt = self.empty_1lc.expand(len(latents_bchw), -1, -1)
        output = self.unet(latents_bchw, timesteps_b, encoder_hidden_states=prompt)
        velocity: Tensor = output.sample
        return velocity


def betterdepth_stage(
    denoiser: Denoiser,
    codec: DepthCodec,
    scheduler: DDIMScheduler,
    source: Source,
    settings: BetterDepthTraining,
    device: torch.device,
) -> Stage:
    """Return the training of a denoiser on what `source` draws."""

    batch_size = settings.optimiser.batch_size

    def loss(step: int) -> Tensor:
        draws = step_draws(settings.seed, STAGE, step, device)
        latents = _latents(codec, source(batch_size, draws), settings, draws)
        num_timesteps = int(scheduler.config.num_train_timesteps)
        timesteps = (draws.uniform(batch_size) * num_timesteps).long()
        share = timesteps / num_timesteps
        noise = annealed_noise(latents.target.shape, share, settings.noise_strength, draws)
        noisy = scheduler.add_noise(latents.target, noise, timesteps)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16):
            shown = torch.cat((latents.picture, latents.coarse, noisy), dim=1)
            predicted = denoiser(shown, timesteps)
        velocity = scheduler.get_velocity(latents.target, noise, timesteps)
        return masked_loss(predicted.float(), velocity, latents.kept)

    return Stage(STAGE, denoiser, loss, settings.optimiser)


def masked_loss(predicted_bchw: Tensor, wanted_bchw: Tensor, kept_b1hw: Tensor) -> Tensor:
    """Return the mean squared error over the kept latents; 0 where none is kept.

    Args:
        kept_b1hw: float32 of 0 and 1.
    """
    square = (predicted_bchw - wanted_bchw).square() * kept_b1hw
    return square.sum() / (kept_b1hw.sum() * predicted_bchw.shape[1]).clamp(min=1.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Latents:
    """What a step works on: [B, C, h, w] each, and the kept latents [B, 1, h, w]."""

    picture: Tensor
    coarse: Tensor
    target: Tensor
    kept: Tensor


def _latents(
    codec: DepthCodec, batch: ExampleBatch, settings: BetterDepthTraining, draws: Draws
) -> _Latents:
    coarse = batch.network_bhw
    if settings.errors is not None:
        coarse = make_coarse(batch.truth_bhw, coarse, settings.errors, draws)
    pairs = pair(batch.truth_bhw, coarse, batch.valid_bhw, settings.pairing)
    count = len(coarse)
    condition = settings.target.condition(pairs.coarse_bhw)
    wanted = settings.target.of(pairs.truth_bhw, pairs.coarse_bhw)
    maps = torch.cat((condition, wanted))[:, None].expand(-1, 3, -1, -1)
    shown = torch.cat((batch.image_b3hw * 2.0 - 1.0, maps))
    latents = codec.encode(shown)
    picture, condition, target = latents[:count], latents[count : 2 * count], latents[2 * count :]
    if not settings.conditioned:
        condition = torch.zeros_like(condition)
    return _Latents(picture, condition, target, latent_mask(pairs.kept_bhw, codec.factor))
