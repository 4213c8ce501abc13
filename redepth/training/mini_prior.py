"""Train the mini prior: first its VAE, then UNet and text encoder together on the VAE's latents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextModel

from redepth.priors.diffusion import PriorParts
from redepth.priors.mini import build_mini_prior
from redepth.priors.score_distillation import add_noise
from redepth.training.composites import ANY_PICTURE, WRONG_WORD, show
from redepth.training.loop import Stage
from redepth.training.pool import ScenePool, draw_batch, step_generator

VAE_STAGE, PRIOR_STAGE = "vae", "prior"
_RELIEFS = ("lumps", "gaussians", "saddles", "swells", "pebbles")
_CANONICAL = ("faces", "coins")
_OTHERS = ("dunes", "cloth", "leaves")
_OBJECTS = ("solids", "fences", "wires", "plants")
SHARES = (
    dict.fromkeys(_RELIEFS, 0.04)
    | dict.fromkeys(_CANONICAL, 0.17)
    | dict.fromkeys(_OTHERS, 0.12)
    | dict.fromkeys(_OBJECTS, 0.025)
)
NUM_SCENES = (
    dict.fromkeys(_RELIEFS, 1000)
    | dict.fromkeys((*_CANONICAL, *_OTHERS), 5000)
    | dict.fromkeys(_OBJECTS, 150)
)
NUM_VAE_STEPS, VAE_BATCH_SIZE, VAE_LEARNING_RATE = 1500, 8, 2e-3
NUM_PRIOR_STEPS, PRIOR_BATCH_SIZE, PRIOR_LEARNING_RATE = 5600, 32, 6e-4
_KL_WEIGHT = 1e-7
_FIRST_LOG_VARIANCE = -6.0  # a posterior that starts as wide as its mean teaches the mean nothing
_NUM_LATENTS_MEASURED = 256
# Score distillation draws its timesteps from 0.02 T to 0.6 T.
_ASKED_SHARE, _LAST_ASKED = 0.8, 0.62


def new_prior(seed: int, captions: Sequence[str]) -> PriorParts:
    """Return the mini prior as training begins; its vocabulary is that of the captions."""
    parts = build_mini_prior(seed, [*captions, ANY_PICTURE, WRONG_WORD])
    log_variance = parts.vae.quant_conv.bias.detach()[parts.vae.config.latent_channels :]
    log_variance.fill_(_FIRST_LOG_VARIANCE)
    return parts


def vae_stage(vae: AutoencoderKL, pool: ScenePool, seed: int, num_steps: int) -> Stage:
    """Return the training of the VAE: mean |error| + 1e-7 KL, on what the prior will see."""

    def loss(step: int) -> Tensor:
        generator = step_generator(seed, VAE_STAGE, step)
        shown = show(draw_batch(pool, SHARES, VAE_BATCH_SIZE, generator), generator)
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(shown.image_b3hw).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=generator)
            decoded = vae.decode(posterior.mean + posterior.std * noise).sample
        error: Tensor = (decoded.float() - shown.image_b3hw).abs().mean()
        divergence: Tensor = posterior.kl().float().mean()
        return error + _KL_WEIGHT * divergence

    return Stage(VAE_STAGE, vae, loss, num_steps, VAE_LEARNING_RATE)


@torch.no_grad()
def set_scaling_factor(vae: AutoencoderKL, pool: ScenePool, seed: int) -> None:
    """Write 1 / standard deviation of the latents into the VAE's configuration."""
    generator = step_generator(seed, "scaling", 0)
    shown = show(draw_batch(pool, SHARES, _NUM_LATENTS_MEASURED, generator), generator)
    latents = vae.encode(shown.image_b3hw).latent_dist.mean
    vae.register_to_config(scaling_factor=1.0 / float(latents.std()))


class Denoiser(nn.Module):
    """UNet and text encoder: what the prior's stage trains, the VAE being done."""

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder
        # PyTorch's fused attention has a slow backward pass on a CPU: a third of a step.
        unet.set_attn_processor(AttnProcessor())

    def forward(self, noisy_bchw: Tensor, timesteps_b: Tensor, token_ids_bl: Tensor) -> Tensor:
        """Return v, [B, C, H, W]."""
        states = self.text_encoder(token_ids_bl).last_hidden_state
        velocity: Tensor = self.unet(noisy_bchw, timesteps_b, encoder_hidden_states=states).sample
        return velocity


def prior_stage(parts: PriorParts, pool: ScenePool, seed: int, num_steps: int) -> Stage:
    """Return the training of UNet and text encoder: mean (v - v_hat)^2, `draw_timesteps`."""
    denoiser = Denoiser(parts.unet, parts.text_encoder)
    parts.vae.eval().requires_grad_(False)
    return Stage(
        PRIOR_STAGE, denoiser, _prior_loss(parts, denoiser, pool, seed), num_steps,
        PRIOR_LEARNING_RATE,
    )  # fmt: skip


def _prior_loss(
    parts: PriorParts, denoiser: Denoiser, pool: ScenePool, seed: int
) -> Callable[[int], Tensor]:
    alphas_cumprod = parts.scheduler.alphas_cumprod

    def loss(step: int) -> Tensor:
        generator = step_generator(seed, PRIOR_STAGE, step)
        shown = show(draw_batch(pool, SHARES, PRIOR_BATCH_SIZE, generator), generator)
        latents = _latents(parts.vae, shown.image_b3hw, generator)
        noise = torch.randn(latents.shape, generator=generator)
        timesteps = draw_timesteps(len(latents), len(alphas_cumprod), generator)
        alpha_bar = alphas_cumprod[timesteps]
        with torch.autocast("cpu", torch.bfloat16):
            predicted = denoiser(
                add_noise(latents, noise, alpha_bar), timesteps, token_ids(parts, shown.prompts)
            )
        error: Tensor = predicted.float() - velocity(latents, noise, alpha_bar)
        return error.square().mean()

    return loss


def draw_timesteps(count: int, num_timesteps: int, generator: torch.Generator) -> Tensor:
    """Draw timesteps, int64 [count]: four in five where score distillation asks, else anywhere."""
    asked = torch.rand(count, generator=generator) < _ASKED_SHARE
    share = torch.rand(count, generator=generator)
    share = torch.where(asked, share * _LAST_ASKED, share)
    return (share * num_timesteps).long()


@torch.no_grad()
def _latents(vae: AutoencoderKL, image_b3hw: Tensor, generator: torch.Generator) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        posterior = vae.encode(image_b3hw).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator)
    latents: Tensor = posterior.mean.float() + posterior.std.float() * noise
    return latents * float(vae.config.scaling_factor)


def velocity(latents_bchw: Tensor, noise_bchw: Tensor, alpha_bar_b: Tensor) -> Tensor:
    """Return v = sqrt(abar) e - sqrt(1 - abar) x."""
    alpha_bar = alpha_bar_b[:, None, None, None]
    return alpha_bar.sqrt() * noise_bchw - (1.0 - alpha_bar).sqrt() * latents_bchw


def token_ids(parts: PriorParts, prompts: Sequence[str]) -> Tensor:
    """Return int64 [P, L], padded and truncated as `DiffusionPrior.embed` does."""
    length = parts.text_encoder.config.max_position_embeddings
    ids: Tensor = parts.tokenizer(
        list(prompts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).input_ids
    return ids
