"""Load a trained refiner from the folder that its training wrote."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from redepth.config import Compute, RefinerModel
from redepth.depth_latents.codec import DepthCodec
from redepth.depth_latents.pipeline import BetterDepthPipeline, embed_empty_prompt, target_of
from redepth.depth_latents.sampling import RefinementSampler
from redepth.errors import ConfigError
from redepth.presets import REFINERS
from redepth.types import ModelCard
from redepth.weights import (
    DIFFUSERS_STEM,
    TOKENIZER_FILES,
    ResolvedFolder,
    quieten_libraries,
    read_network,
    reading,
    resolve_weights,
    variant_of,
    weight_files,
    weight_patterns,
)

_NUM_LATENTS = 3  # picture, coarse map, noisy target
_STEMS = {"vae": DIFFUSERS_STEM, "unet": DIFFUSERS_STEM, "text_encoder": "model"}


def load_betterdepth(
    settings: RefinerModel, compute: Compute, device: torch.device
) -> tuple[RefinementSampler, ModelCard]:
    """Load a trained BetterDepth; the UNet in the recipe's dtype, the VAE in float32.

    A VAE of half precision would add a grain of its own to every map.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are no BetterDepth's.
    """
    quieten_libraries()
    preset = REFINERS[settings.preset]
    variant = variant_of(settings.weights, preset.weights)
    folder = resolve_weights(settings.weights, preset.weights, _patterns(variant))
    files = [
        file for part, stem in _STEMS.items() for file in weight_files(folder, stem, variant, part)
    ]
    float32: torch.dtype = torch.float32
    vae = read_network(AutoencoderKL, folder, "vae", variant, float32)
    dtype: torch.dtype = getattr(torch, compute.dtype)
    unet = read_network(UNet2DConditionModel, folder, "unet", variant, dtype)
    text_encoder = read_network(CLIPTextModel, folder, "text_encoder", variant, float32)
    with reading("the settings", folder.path):
        target = target_of(BetterDepthPipeline.load_config(folder.path, local_files_only=True))
        tokenizer = CLIPTokenizer.from_pretrained(folder.path / "tokenizer", local_files_only=True)
        scheduler = DDIMScheduler.from_pretrained(folder.path / "scheduler", local_files_only=True)
    _require_betterdepth(unet, vae, scheduler, folder)
    frozen = [part.to(device).eval().requires_grad_(False) for part in (vae, unet)]
    empty = embed_empty_prompt(text_encoder, tokenizer).to(device)
    sampler = RefinementSampler(DepthCodec(frozen[0]), frozen[1], scheduler, empty, target)
    return sampler, folder.card("refiner", files)


def _patterns(variant: str | None) -> tuple[str, ...]:
    return (
        "model_index.json",
        *(f"{part}/config.json" for part in _STEMS),
        *(p for part, stem in _STEMS.items() for p in weight_patterns(stem, variant, part)),
        *(f"tokenizer/{name}" for name in TOKENIZER_FILES),
        "scheduler/scheduler_config.json",
    )


def _require_betterdepth(
    unet: Any, vae: Any, scheduler: DDIMScheduler, folder: ResolvedFolder
) -> None:
    """Refuse what loads and would fail, or mislead, at the first step."""
    channels, wanted = unet.config.in_channels, _NUM_LATENTS * vae.config.latent_channels
    prediction = scheduler.config.prediction_type
    if channels != wanted or prediction != "v_prediction":
        raise ConfigError(
            f"{folder.source} is no BetterDepth model: its UNet takes {channels} channels and "
            f"predicts {prediction}, expected {wanted} (picture, coarse map and noise of "
            f"{vae.config.latent_channels} each) and v_prediction. Train one with redepth train "
            "betterdepth"
        )
