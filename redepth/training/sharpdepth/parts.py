"""The parts that a one-step depth model is trained from and saved as."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from redepth.errors import ConfigError
from redepth.refiners.latents.pipeline import embed_empty_prompt
from redepth.refiners.sharpdepth.one_step import NUM_LATENTS, TASK_CHANNELS, OneStepDenoiser
from redepth.refiners.sharpdepth.pipeline import SharpDepthPipeline
from redepth.training.refiner_parts import RefinerParts, half, read_pipeline


def read_teacher(folder: Path, variant: str | None) -> RefinerParts:
    """Read a Lotus-G, or a SharpDepth, as the teacher and first weights of a student.

    Raises:
        ConfigError: it is no such folder, or cannot be read.
    """
    parts = read_pipeline(folder, variant)
    channels, wanted = int(parts.unet.config.in_channels), _wanted_channels(parts)
    embedding = parts.unet.config.class_embed_type
    if channels != wanted or embedding != "projection":
        raise ConfigError(
            f"{folder} is no one-step depth model: its UNet takes {channels} channels and a class "
            f"embedding of {embedding}, expected {wanted} and projection, as Lotus-G has"
        )
    return replace(parts, scheduler=one_step_scheduler(parts.scheduler))


def new_teacher(folder: Path, variant: str | None, seed: int) -> RefinerParts:
    """Read a BetterDepth folder as the first weights of a one-step model.

    The input loses the coarse map's channels; the embedding of the task is new, and adds nothing
    until it is trained.
    """
    parts = read_pipeline(folder, variant)
    channels = _wanted_channels(parts)
    config = dict(parts.unet.config) | {
        "in_channels": channels,
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": TASK_CHANNELS,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel.from_config(config)
    size = channels // NUM_LATENTS
    weights: dict[str, Any] = parts.unet.state_dict()
    wide = weights["conv_in.weight"]
    weights["conv_in.weight"] = torch.cat((wide[:, :size], wide[:, -size:]), dim=1)
    unet.load_state_dict(weights, strict=False)
    last = unet.class_embedding.linear_2
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    return replace(parts, unet=unet, scheduler=one_step_scheduler(parts.scheduler))


def one_step_scheduler(scheduler: DDIMScheduler) -> DDIMScheduler:
    """Return Stable Diffusion's schedule, read as x0 in one step from the last timestep."""
    return DDIMScheduler.from_config(
        scheduler.config,
        prediction_type="sample",
        rescale_betas_zero_snr=False,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )


def denoiser_of(parts: RefinerParts, device: torch.device) -> OneStepDenoiser:
    """Return the UNet of the parts as a denoiser on a device."""
    empty: Tensor = embed_empty_prompt(parts.text_encoder, parts.tokenizer).to(device)
    if device.type == "cpu":
        # PyTorch's fused attention has a slow backward pass there: a third of a step.
        parts.unet.set_attn_processor(AttnProcessor())
    last = int(parts.scheduler.config.num_train_timesteps) - 1
    return OneStepDenoiser(parts.unet.to(device), empty, last).to(device)


def save_one_step(parts: RefinerParts, folder: Path, variant: str) -> None:
    """Write the parts as a diffusers pipeline folder in half precision; they stay as they are."""
    pipeline = SharpDepthPipeline(
        half(parts.vae), half(parts.unet), half(parts.text_encoder), parts.tokenizer,
        parts.scheduler,
    )  # fmt: skip
    pipeline.save_pretrained(folder, safe_serialization=True, variant=variant)


def _wanted_channels(parts: RefinerParts) -> int:
    return NUM_LATENTS * int(parts.vae.config.latent_channels)
