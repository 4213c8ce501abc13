"""Load a trained refiner from a folder in diffusers' layout."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from redepth.errors import ConfigError
from redepth.refiners.latents.codec import DepthCodec
from redepth.refiners.latents.gating import Gating
from redepth.refiners.latents.one_step import NUM_LATENTS as ONE_STEP_LATENTS
from redepth.refiners.latents.one_step import TASK_CHANNELS, OneStepDenoiser
from redepth.refiners.latents.pipeline import BetterDepthPipeline, embed_empty_prompt, target_of
from redepth.refiners.latents.sampling import RefinementSampler
from redepth.refiners.latents.sharpening import MetricSharpener
from redepth.settings import Compute, PublishedWeights, Weights
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


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """A refiner's networks on their device, frozen, and where they came from."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    empty_1lc: Tensor
    scheduler: DDIMScheduler
    folder: ResolvedFolder
    card: ModelCard


def load_betterdepth(
    own: Weights, published: PublishedWeights | None, compute: Compute, device: torch.device
) -> tuple[RefinementSampler, ModelCard]:
    """Load a trained BetterDepth; the UNet in the recipe's dtype, the VAE in float32.

    A VAE of half precision would add a grain of its own to every map.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are no BetterDepth's.
    """
    parts = _read_parts(own, published, compute, device)
    with reading("the settings", parts.folder.path):
        config = BetterDepthPipeline.load_config(parts.folder.path, local_files_only=True)
        target = target_of(config)
    _require_betterdepth(parts)
    codec = DepthCodec(parts.vae)
    sampler = RefinementSampler(codec, parts.unet, parts.scheduler, parts.empty_1lc, target)
    return sampler, parts.card


def load_sharpener(
    own: Weights,
    published: PublishedWeights | None,
    gating: Gating,
    compute: Compute,
    device: torch.device,
) -> tuple[MetricSharpener, ModelCard]:
    """Load a Lotus-G, or a SharpDepth that was trained from one; precision as `load_betterdepth`.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are no one-step depth model's.
    """
    parts = _read_parts(own, published, compute, device)
    _require_one_step(parts)
    last = int(parts.scheduler.config.num_train_timesteps) - 1
    denoiser = OneStepDenoiser(parts.unet, parts.empty_1lc, last)
    return MetricSharpener(DepthCodec(parts.vae), denoiser, parts.scheduler, gating), parts.card


def _read_parts(
    own: Weights, published: PublishedWeights | None, compute: Compute, device: torch.device
) -> _Parts:
    quieten_libraries()
    variant = variant_of(own, published)
    folder = resolve_weights(own, published, _patterns(variant))
    files = [
        file for part, stem in _STEMS.items() for file in weight_files(folder, stem, variant, part)
    ]
    float32: torch.dtype = torch.float32
    vae = read_network(AutoencoderKL, folder, "vae", variant, float32)
    dtype: torch.dtype = getattr(torch, compute.dtype)
    unet = read_network(UNet2DConditionModel, folder, "unet", variant, dtype)
    text_encoder = read_network(CLIPTextModel, folder, "text_encoder", variant, float32)
    with reading("the settings", folder.path):
        tokenizer = CLIPTokenizer.from_pretrained(folder.path / "tokenizer", local_files_only=True)
        scheduler = DDIMScheduler.from_pretrained(folder.path / "scheduler", local_files_only=True)
    vae, unet = (part.to(device).eval().requires_grad_(False) for part in (vae, unet))
    empty = embed_empty_prompt(text_encoder, tokenizer).to(device)
    return _Parts(vae, unet, empty, scheduler, folder, folder.card("refiner", files))


def _patterns(variant: str | None) -> tuple[str, ...]:
    return (
        "model_index.json",
        *(f"{part}/config.json" for part in _STEMS),
        *(p for part, stem in _STEMS.items() for p in weight_patterns(stem, variant, part)),
        *(f"tokenizer/{name}" for name in TOKENIZER_FILES),
        "scheduler/scheduler_config.json",
    )


def _require_betterdepth(parts: _Parts) -> None:
    """Refuse what loads and would fail, or mislead, at the first step."""
    channels, wanted = _channels(parts, _NUM_LATENTS)
    prediction = parts.scheduler.config.prediction_type
    if channels != wanted or prediction != "v_prediction":
        raise ConfigError(
            f"{parts.folder.source} is no BetterDepth model: its UNet takes {channels} channels "
            f"and predicts {prediction}, expected {wanted} (picture, coarse map and noise of "
            f"{wanted // _NUM_LATENTS} each) and v_prediction. Train one with redepth train "
            "betterdepth"
        )


def _require_one_step(parts: _Parts) -> None:
    channels, wanted = _channels(parts, ONE_STEP_LATENTS)
    embedding = parts.unet.config.class_embed_type
    task_channels = parts.unet.config.projection_class_embeddings_input_dim
    if channels != wanted or (embedding, task_channels) != ("projection", TASK_CHANNELS):
        raise ConfigError(
            f"{parts.folder.source} is no one-step depth model: its UNet takes {channels} channels "
            f"and a class embedding of {embedding} ({task_channels}), expected {wanted} (picture "
            f"and noise of {wanted // ONE_STEP_LATENTS} each) and projection ({TASK_CHANNELS}), as "
            "Lotus-G has. Train one with redepth train sharpdepth"
        )


def _channels(parts: _Parts, num_latents: int) -> tuple[int, int]:
    """Return the UNet's input channels, and those of so many latents."""
    return int(parts.unet.config.in_channels), num_latents * int(parts.vae.config.latent_channels)
