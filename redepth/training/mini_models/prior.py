"""Train the mini prior: first its VAE, then UNet and text encoder together on the VAE's latents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextModel

from redepth.refiners.redepth_anything.mini_prior import build_mini_prior
from redepth.refiners.redepth_anything.prior_parts import PriorParts
from redepth.refiners.redepth_anything.score_distillation import add_noise
from redepth.training.draws import normal, step_generator, uniform
from redepth.training.engine.loop import Stage
from redepth.training.examples.scene_pool import ScenePool, draw_batch
from redepth.training.mini_models.composites import ANY_PICTURE, MIXTURE, WRONG_WORD, Mixture, show
from redepth.training.settings import Optimiser

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


def vae_stage(vae: AutoencoderKL, pool: ScenePool, seed: int, optimiser: Optimiser) -> Stage:
    """Return the training of the VAE: mean |error| + 1e-7 KL, on what the prior will see."""

    def loss(step: int) -> Tensor:
        generator = step_generator(seed, VAE_STAGE, step, vae.device)
        shown = show(draw_batch(pool, SHARES, optimiser.batch_size, generator), generator)
        with torch.autocast(vae.device.type, torch.bfloat16):
            posterior = vae.encode(shown.image_b3hw).latent_dist
            noise = normal(generator, *posterior.mean.shape)
            decoded = vae.decode(posterior.mean + posterior.std * noise).sample
        error: Tensor = (decoded.float() - shown.image_b3hw).abs().mean()
        divergence: Tensor = posterior.kl().float().mean()
        return error + _KL_WEIGHT * divergence

    return Stage(VAE_STAGE, vae, loss, optimiser)


@torch.no_grad()
def set_scaling_factor(vae: AutoencoderKL, pool: ScenePool, seed: int) -> None:
    """Write 1 / standard deviation of the latents into the VAE's configuration."""
    generator = step_generator(seed, "scaling", 0, vae.device)
    shown = show(draw_batch(pool, SHARES, _NUM_LATENTS_MEASURED, generator), generator)
    latents = vae.encode(shown.image_b3hw).latent_dist.mean
    vae.register_to_config(scaling_factor=1.0 / float(latents.std()))


class Denoiser(nn.Module):
    """UNet and text encoder: what the prior's stage trains, the VAE being done."""

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder
        if unet.device.type == "cpu":
            # PyTorch's fused attention has a slow backward pass on a CPU: a third of a step.
            unet.set_attn_processor(AttnProcessor())

    def forward(self, noisy_bchw: Tensor, timesteps_b: Tensor, token_ids_bl: Tensor) -> Tensor:
        """Return v, [B, C, H, W]."""
        states = self.text_encoder(token_ids_bl).last_hidden_state
        velocity: Tensor = self.unet(noisy_bchw, timesteps_b, encoder_hidden_states=states).sample
        return velocity


def prior_stage(
    parts: PriorParts,
    pool: ScenePool,
    seed: int,
    optimiser: Optimiser,
    mixture: Mixture = MIXTURE,
) -> Stage:
    """Return the training of UNet and text encoder: mean (v - v_hat)^2, `draw_timesteps`.

    Networks and pool are on one device.
    """
    denoiser = Denoiser(parts.unet, parts.text_encoder)
    parts.vae.eval().requires_grad_(False)
    loss = _prior_loss(parts, denoiser, pool, seed, optimiser.batch_size, mixture)
    return Stage(PRIOR_STAGE, denoiser, loss, optimiser)


def _prior_loss(
    parts: PriorParts,
    denoiser: Denoiser,
    pool: ScenePool,
    seed: int,
    batch_size: int,
    mixture: Mixture,
) -> Callable[[int], Tensor]:
    device = parts.unet.device
    alphas_cumprod = parts.scheduler.alphas_cumprod.to(device)
    prompts = PromptIds(parts, pool.captions, device)

    def loss(step: int) -> Tensor:
        generator = step_generator(seed, PRIOR_STAGE, step, device)
        shown = show(draw_batch(pool, SHARES, batch_size, generator), generator, mixture)
        latents = _latents(parts.vae, shown.image_b3hw, generator)
        noise = normal(generator, *latents.shape)
        timesteps = draw_timesteps(len(latents), len(alphas_cumprod), generator)
        alpha_bar = alphas_cumprod[timesteps]
        with torch.autocast(device.type, torch.bfloat16):
            predicted = denoiser(
                add_noise(latents, noise, alpha_bar), timesteps, prompts(shown.prompts)
            )
        error: Tensor = predicted.float() - velocity(latents, noise, alpha_bar)
        return error.square().mean()

    return loss


def draw_timesteps(count: int, num_timesteps: int, generator: torch.Generator) -> Tensor:
    """Draw timesteps, int64 [count]: four in five where score distillation asks, else anywhere."""
    asked = uniform(generator, count) < _ASKED_SHARE
    share = uniform(generator, count)
    share = torch.where(asked, share * _LAST_ASKED, share)
    return (share * num_timesteps).long()


@torch.no_grad()
def _latents(vae: AutoencoderKL, image_b3hw: Tensor, generator: torch.Generator) -> Tensor:
    with torch.autocast(vae.device.type, torch.bfloat16):
        posterior = vae.encode(image_b3hw).latent_dist
    noise = normal(generator, *posterior.mean.shape)
    latents: Tensor = posterior.mean.float() + posterior.std.float() * noise
    return latents * float(vae.config.scaling_factor)


class PromptIds:
    """The token ids of every prompt that can be drawn, made once: a step only looks them up."""

    def __init__(self, parts: PriorParts, captions: Sequence[str], device: torch.device) -> None:
        said = sorted({*captions, ANY_PICTURE})
        prompts = ["", *said, *(f"{WRONG_WORD} {words}" for words in said)]
        self._row = {prompt: row for row, prompt in enumerate(prompts)}
        self._ids_pl = token_ids(parts, prompts).to(device)

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Return int64 [P, L]."""
        return self._ids_pl[[self._row[prompt] for prompt in prompts]]


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
