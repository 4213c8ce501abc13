"""The parts that a refiner is trained from and saved as: folders in diffusers' own layout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextModel, CLIPTokenizer

from redepth.errors import ConfigError
from redepth.refiners.betterdepth.pipeline import BetterDepthPipeline, target_config
from redepth.refiners.betterdepth.target import Target
from redepth.refiners.latents.codec import DepthCodec
from redepth.refiners.latents.conditioning import expand_input
from redepth.refiners.latents.pipeline import embed_empty_prompt
from redepth.training.betterdepth import (
    NUM_CONDITIONS,
    BetterDepthTraining,
    Denoiser,
    Source,
    betterdepth_stage,
)
from redepth.training.loop import Stage
from redepth.weights import reading


@dataclass(frozen=True, slots=True, eq=False)
class RefinerParts:
    """What a refiner is made of, on the CPU."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDIMScheduler


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


def read_pipeline(folder: Path, variant: str | None) -> RefinerParts:
    """Read the parts of a folder in diffusers' layout as they are.

    Raises:
        ConfigError: it is no such folder, or cannot be read.
    """
    if not (folder / "unet").is_dir():
        raise ConfigError(
            f"{folder} is no folder of a diffusers pipeline (it has no unet/): expected Stable "
            "Diffusion, Marigold, or a refiner, as save_pretrained writes them"
        )
    with reading("a diffusers pipeline", folder):
        return _read_pipeline(folder, variant)


def _read_pipeline(folder: Path, variant: str | None) -> RefinerParts:
    read = {"variant": variant, "torch_dtype": torch.float32, "local_files_only": True}
    vae = AutoencoderKL.from_pretrained(folder / "vae", **read)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", **read)
    text_encoder = CLIPTextModel.from_pretrained(
        folder / "text_encoder", variant=variant, dtype=torch.float32, local_files_only=True
    )
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    return RefinerParts(vae, unet, text_encoder, tokenizer, scheduler)


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
    how: BetterDepthTraining,
    seed: int,
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
    return betterdepth_stage(denoiser, DepthCodec(vae), scheduler, source, how, seed, device)


def save_parts(
    parts: RefinerParts, target: Target, folder: Path, variant: str, default_steps: int
) -> None:
    """Write a refiner as a diffusers pipeline folder in half precision."""
    parts.scheduler.alphas_cumprod = parts.scheduler.alphas_cumprod.cpu()
    pipeline = BetterDepthPipeline(
        parts.vae.cpu().half(),
        parts.unet.cpu().half(),
        parts.text_encoder.cpu().half(),
        parts.tokenizer,
        parts.scheduler,
        **target_config(target),
        default_denoising_steps=default_steps,
    )
    pipeline.save_pretrained(folder, safe_serialization=True, variant=variant)
