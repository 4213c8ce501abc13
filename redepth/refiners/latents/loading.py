"""Read the parts of a trained refiner from a folder in diffusers' layout.

Each part is read by the class that it must be, from safetensors alone: model_index.json of a folder
has no say in which code runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

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

_STEMS = {"vae": DIFFUSERS_STEM, "unet": DIFFUSERS_STEM, "text_encoder": "model"}


@dataclass(frozen=True, slots=True, eq=False)
class PipelineParts:
    """What a pipeline is made of; VAE and UNet on their device, frozen.

    Attributes:
        folder: where they came from.
        card: of all weights that were read.
    """

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDIMScheduler
    folder: ResolvedFolder
    card: ModelCard

    def channels(self, num_latents: int) -> tuple[int, int]:
        """Return how many channels the UNet takes, and how many so many latents have."""
        return int(self.unet.config.in_channels), num_latents * int(self.vae.config.latent_channels)


def read_pipeline_parts(
    own: Weights, published: PublishedWeights | None, compute: Compute, device: torch.device
) -> PipelineParts:
    """Read a folder's parts: the UNet in the recipe's dtype, the VAE in float32.

    A VAE of half precision would add a grain of its own to every map.

    Raises:
        ConfigError: the weights cannot be had, or are not whole.
    """
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
    card = folder.card("refiner", files)
    return PipelineParts(vae, unet, text_encoder, tokenizer, scheduler, folder, card)


def _patterns(variant: str | None) -> tuple[str, ...]:
    return (
        "model_index.json",
        *(f"{part}/config.json" for part in _STEMS),
        *(p for part, stem in _STEMS.items() for p in weight_patterns(stem, variant, part)),
        *(f"tokenizer/{name}" for name in TOKENIZER_FILES),
        "scheduler/scheduler_config.json",
    )
