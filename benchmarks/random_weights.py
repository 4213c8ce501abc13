"""Models of the published architectures with random weights, as folders that recipes can name.

A forward costs the same whatever the weights are, so nothing has to be fetched from a hub.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, DDPMScheduler
from transformers import DepthAnythingForDepthEstimation

from benchmarks import architectures
from redepth.refiners.betterdepth.pipeline import BetterDepthPipeline
from redepth.refiners.redepth_anything.mini_prior import build_mini_prior, save_prior
from redepth.refiners.redepth_anything.prior_parts import PriorParts
from redepth.refiners.sharpdepth.pipeline import SharpDepthPipeline

VARIANT = "fp16"
_SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
# Stable Diffusion 2's text encoder, cut to its empty prompt's needs: it is run once, at the start.
_TEXT_WIDTH, _TEXT_LAYERS = 1024, 2


def depth_anything_small(max_depth_m: int | None = None) -> DepthAnythingForDepthEstimation:
    """Return Depth Anything V2 Small, for metres where `max_depth_m` is given."""
    model: Any = architectures.depth_anything("Small", max_depth_m)
    if max_depth_m is None:
        # Behind a ReLU a random head may give the constant 0, whose normals say nothing.
        torch.nn.init.constant_(model.head.conv3.bias, 0.5)
    return model


def stable_diffusion() -> PriorParts:
    """Return Stable Diffusion 1.5's architectures; the tokenizer is another, as long."""
    return PriorParts(
        architectures.stable_diffusion_vae(),
        architectures.stable_diffusion_unet(),
        architectures.clip_text_encoder(),
        build_mini_prior(0).tokenizer,
        DDPMScheduler(**_SCHEDULE),
    )


def write_models(folder: Path, device: torch.device) -> None:
    """Write a folder a model: depth, metric, prior, encoder, betterdepth and sharpdepth.

    They are the same ones each time.

    Args:
        device: where they are made: on a GPU that takes seconds, on a CPU a minute.
    """
    torch.manual_seed(0)
    with torch.device(device):
        depth_anything_small().save_pretrained(folder / "depth")
        depth_anything_small(max_depth_m=20).save_pretrained(folder / "metric")
        prior = stable_diffusion()
        for network in (prior.vae, prior.unet, prior.text_encoder):
            network.half()
        save_prior(prior, folder / "prior", VARIANT)
        del prior
        # Whose defaults are TAESD's.
        AutoencoderTiny().half().save_pretrained(folder / "encoder", variant=VARIANT)
        _pipeline(BetterDepthPipeline, num_latents=3, prediction="v_prediction").save_pretrained(
            folder / "betterdepth", variant=VARIANT
        )
        _pipeline(SharpDepthPipeline, num_latents=2, prediction="sample").save_pretrained(
            folder / "sharpdepth", variant=VARIANT
        )


def _pipeline(kind: Any, num_latents: int, prediction: str) -> Any:
    """Return a trained refiner's pipeline in half precision."""
    has_task = kind is SharpDepthPipeline
    pipeline = kind(
        vae=architectures.stable_diffusion_vae(),
        unet=architectures.latent_depth_unet(num_latents, has_task=has_task),
        text_encoder=architectures.clip_text_encoder(_TEXT_WIDTH, _TEXT_LAYERS),
        tokenizer=build_mini_prior(0).tokenizer,
        scheduler=DDIMScheduler(prediction_type=prediction, clip_sample=False, **_SCHEDULE),
    )
    return pipeline.to(torch.float16)
