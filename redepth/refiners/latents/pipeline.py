"""The parts of a latent depth refiner as one diffusers pipeline: how they are saved and loaded."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from redepth.refiners.latents.target import Target, TargetKind


class BetterDepthPipeline(DiffusionPipeline):  # type: ignore[misc] # diffusers is untyped
    """Parts and settings of a trained refiner; `save_pretrained` writes them as one folder.

    The folder is laid out as Stable Diffusion's and Marigold's are: vae/, unet/, text_encoder/,
    tokenizer/, scheduler/, and model_index.json with what the weights were trained to mean.

    Attributes:
        config: target, clip, residual_scale, residual_clip (see `Target`), default_denoising_steps.
    """

    # diffusers saves single values that the signature names with a default.
    def __init__(  # noqa: PLR0913, PLR0917
        self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        scheduler: DDIMScheduler,
        target: str = TargetKind.DEPTH.value,
        clip: float = 1.0,
        residual_scale: float = 0.4,
        residual_clip: float = 2.5,
        default_denoising_steps: int = 50,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            unet=unet,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            scheduler=scheduler,
        )
        self.register_to_config(
            target=target,
            clip=clip,
            residual_scale=residual_scale,
            residual_clip=residual_clip,
            default_denoising_steps=default_denoising_steps,
        )


class SharpDepthPipeline(DiffusionPipeline):  # type: ignore[misc] # diffusers is untyped
    """Parts of a one-step depth model, laid out as Lotus-G is."""

    def __init__(
        self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        scheduler: DDIMScheduler,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            unet=unet,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            scheduler=scheduler,
        )


def target_settings(target: Target) -> dict[str, Any]:
    """Return a target as the pipeline's settings."""
    return {
        "target": target.kind.value,
        "clip": target.clip,
        "residual_scale": target.residual_scale,
        "residual_clip": target.residual_clip,
    }


def target_of(config: dict[str, Any]) -> Target:
    """Return the target that a pipeline's settings state.

    Raises:
        KeyError, ValueError: they state none.
    """
    return Target(
        TargetKind(config["target"]),
        float(config["clip"]),
        float(config["residual_scale"]),
        float(config["residual_clip"]),
    )


@torch.no_grad()
def embed_empty_prompt(text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer) -> Tensor:
    """Return the text encoder's states of the empty prompt, float32 [1, L, C]; L is 2 for CLIP.

    Source: Marigold, which does not pad the empty prompt.
    """
    tokens = tokenizer("", padding="do_not_pad", truncation=True, return_tensors="pt")
    states: Tensor = text_encoder(tokens.input_ids.to(text_encoder.device)).last_hidden_state
    return states.float()
