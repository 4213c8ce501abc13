"""A BetterDepth's first weights, its training, and the pipeline it is saved as."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from diffusers.models.attention_processor import AttnProcessor

from redepth.refiners.betterdepth.pipeline import BetterDepthPipeline, target_config
from redepth.refiners.latents.codec import DepthCodec
from redepth.refiners.latents.conditioning import expand_input
from redepth.refiners.latents.pipeline import embed_empty_prompt
from redepth.training.betterdepth.loss import (
    NUM_CONDITIONS,
    Denoiser,
    Source,
    betterdepth_stage,
)
from redepth.training.betterdepth.settings import BetterDepthTraining
from redepth.training.engine.loop import Stage
from redepth.training.refiner_parts import RefinerParts, half, read_pipeline


def read_parts(folder: Path, variant: str | None = None) -> RefinerParts:
    """Read a text-to-image or Marigold folder as the start of a refiner, its UNet widened.

    Raises:
        ConfigError: it is no such folder, or cannot be read.
    """
    parts = read_pipeline(folder, variant)
    channels = int(parts.vae.config.latent_channels) * (NUM_CONDITIONS + 1)
    return replace(
        parts,
        unet=expand_input(parts.unet, channels),
        scheduler=scheduler_from(parts.scheduler),
    )


def scheduler_from(scheduler: DDIMScheduler) -> DDIMScheduler:
    """Return the noise schedule with an end that is pure noise, from which sampling starts."""
    return DDIMScheduler.from_config(
        scheduler.config,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )


def refiner_stage(
    parts: RefinerParts,
    source: Source,
    settings: BetterDepthTraining,
    device: torch.device,
) -> Stage:
    """Return the training of a refiner on what `source` draws, everything on `device`."""
    vae = parts.vae.to(device).eval().requires_grad_(False)
    empty = embed_empty_prompt(parts.text_encoder, parts.tokenizer).to(device)
    if device.type == "cpu":
        # PyTorch's fused attention has a slow backward pass there: a third of a step.
        parts.unet.set_attn_processor(AttnProcessor())
    denoiser = Denoiser(parts.unet.to(device), empty)
    scheduler = parts.scheduler
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(device)
    return betterdepth_stage(denoiser, DepthCodec(vae), scheduler, source, settings, device)


def save_betterdepth(
    parts: RefinerParts, settings: BetterDepthTraining, folder: Path, variant: str
) -> None:
    """Write a refiner as a diffusers pipeline folder in half precision; it stays as it is."""
    parts.scheduler.alphas_cumprod = parts.scheduler.alphas_cumprod.cpu()
    pipeline = BetterDepthPipeline(
        half(parts.vae),
        half(parts.unet),
        half(parts.text_encoder),
        parts.tokenizer,
        parts.scheduler,
        **target_config(settings.target),
        default_denoising_steps=settings.default_denoising_steps,
    )
    pipeline.save_pretrained(folder, safe_serialization=True, variant=variant)
