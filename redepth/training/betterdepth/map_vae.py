"""Teach a VAE depth maps: a refiner's latents must hold edges and slopes, not only pictures."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from redepth.refiners.betterdepth.target import Target, TargetKind
from redepth.training.betterdepth.coarse_errors import make_coarse
from redepth.training.betterdepth.example_pairs import pair
from redepth.training.betterdepth.settings import CoarseErrors, Pairing
from redepth.training.draws import Draws, step_draws
from redepth.training.engine.loop import Stage
from redepth.training.examples.scene_examples import SceneExamples, draw_examples
from redepth.training.settings import Optimiser

STAGE = "map_vae"
BATCH_SIZE, LEARNING_RATE = 64, 1.5e-3
_SLOPE_WEIGHT = 2.0
_KL_WEIGHT = 1e-7
_PAIRING = Pairing(coarse_frame=True, patch_mask=False)
_NUM_MEASURED = 512


def map_vae_stage(
    vae: AutoencoderKL,
    examples: SceneExamples,
    shares: Mapping[str, float],
    target: Target,
    seed: int,
    num_steps: int,
    batch_size: int = BATCH_SIZE,
) -> Stage:
    """Return the training of a VAE on equal parts of pictures, coarse maps, truths and residuals.

    Loss: mean |error|; of maps also twice the mean |error| of the differences between neighbours;
    1e-7 KL.
    """
    device = examples.rgb_n3hw.device

    def loss(step: int) -> Tensor:
        draws = step_draws(seed, STAGE, step, device)
        shown = _shown(examples, shares, target, batch_size, draws)
        posterior = vae.encode(shown).latent_dist
        noise = draws.normal(*posterior.mean.shape)
        error = vae.decode(posterior.mean + posterior.std * noise).sample - shown
        maps = error[batch_size // 4 :].mean(dim=1)
        slopes = maps.diff(dim=-1).abs().mean() + maps.diff(dim=-2).abs().mean()
        divergence: Tensor = posterior.kl().mean()
        total: Tensor = error.abs().mean() + _SLOPE_WEIGHT * slopes + _KL_WEIGHT * divergence
        return total

    optimiser = Optimiser(num_steps=num_steps, batch_size=batch_size, learning_rate=LEARNING_RATE)
    return Stage(STAGE, vae, loss, optimiser)


@torch.no_grad()
def set_map_scaling_factor(
    vae: AutoencoderKL,
    examples: SceneExamples,
    shares: Mapping[str, float],
    target: Target,
    seed: int,
) -> None:
    """Write 1 / standard deviation of the targets' latents into the VAE's configuration."""
    draws = step_draws(seed, f"{STAGE} scaling", 0, examples.rgb_n3hw.device)
    batch = draw_examples(examples, shares, _NUM_MEASURED, draws)
    coarse = make_coarse(batch.truth_bhw, batch.network_bhw, CoarseErrors(), draws)
    pairs = pair(batch.truth_bhw, coarse, batch.valid_bhw, _PAIRING)
    maps = target.of(pairs.truth_bhw, pairs.coarse_bhw)
    latents = vae.encode(maps[:, None].expand(-1, 3, -1, -1)).latent_dist.mean
    vae.register_to_config(scaling_factor=1.0 / float(latents.std()))


def _shown(
    examples: SceneExamples,
    shares: Mapping[str, float],
    target: Target,
    batch_size: int,
    draws: Draws,
) -> Tensor:
    """Return pictures, coarse maps, truths and residuals, a quarter of the batch each."""
    quarter = batch_size // 4
    batch = draw_examples(examples, shares, 2 * quarter, draws)
    coarse = make_coarse(batch.truth_bhw, batch.network_bhw, CoarseErrors(), draws)
    pairs = pair(batch.truth_bhw, coarse, batch.valid_bhw, _PAIRING)
    residual = target.model_copy(update={"kind": TargetKind.RESIDUAL})
    maps = torch.cat(
        (
            target.condition(pairs.coarse_bhw[:quarter]),
            pairs.truth_bhw[quarter:].clamp(-target.clip, target.clip),
            residual.of(pairs.truth_bhw, pairs.coarse_bhw)[:quarter],
        )
    )
    return torch.cat((batch.image_b3hw[:quarter] * 2.0 - 1.0, maps[:, None].expand(-1, 3, -1, -1)))
