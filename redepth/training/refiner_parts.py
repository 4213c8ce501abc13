"""The parts that a refiner is trained from: folders in diffusers' own layout."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from redepth.errors import ConfigError
from redepth.weights import reading


@dataclass(frozen=True, slots=True, eq=False)
class RefinerParts:
    """What a refiner is made of, on the CPU."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDIMScheduler


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
    read = {"variant": variant, "dtype": torch.float32, "local_files_only": True}
    vae = AutoencoderKL.from_pretrained(folder / "vae", **read)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", **read)
    text_encoder = CLIPTextModel.from_pretrained(
        folder / "text_encoder", variant=variant, dtype=torch.float32, local_files_only=True
    )
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    return RefinerParts(vae, unet, text_encoder, tokenizer, scheduler)


def half(network: Any) -> Any:
    """Return a copy in half precision that does not name the folder it was read from."""
    copied = deepcopy(network).cpu().half()
    if hasattr(copied, "register_to_config"):
        copied.register_to_config(_name_or_path="")
    return copied
