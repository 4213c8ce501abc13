"""Train `betterdepth-mini` on rendered scenes, and the rows of its ablation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextModel, CLIPTokenizer

from redepth.depth_latents.codec import DepthCodec
from redepth.depth_latents.conditioning import expand_input
from redepth.depth_latents.pipeline import (
    BetterDepthPipeline,
    embed_empty_prompt,
    target_settings,
)
from redepth.depth_latents.target import Target, TargetKind
from redepth.training.betterdepth import (
    NUM_CONDITIONS,
    BetterDepthTraining,
    Denoiser,
    Source,
    betterdepth_stage,
)
from redepth.training.coarse_errors import CoarseErrors
from redepth.training.draws import Draws
from redepth.training.example_pairs import Pairing
from redepth.training.loop import Stage
from redepth.training.scene_examples import ExampleBatch, SceneExamples, draw_examples

# Of each kind of scene some families are never shown: cloth, leaves, wires.
_RELIEFS = ("lumps", "gaussians", "saddles", "swells", "pebbles", "faces", "coins", "dunes")
_OBJECTS = ("solids", "fences", "plants")
SHARES = dict.fromkeys(_RELIEFS, 0.6 / len(_RELIEFS)) | dict.fromkeys(_OBJECTS, 0.4 / len(_OBJECTS))
NUM_SCENES = dict.fromkeys(_RELIEFS, 2500) | dict.fromkeys(_OBJECTS, 1500)
MAPS = Target(TargetKind.RESIDUAL, clip=1.5, residual_scale=0.4, residual_clip=2.5)
DEFAULT_DENOISING_STEPS = 2
MINI = BetterDepthTraining(
    num_steps=6000,
    batch_size=64,
    learning_rate=5e-4,
    ema_decay=0.999,
    pairing=Pairing(coarse_frame=True, patch_threshold=0.25),
    target=MAPS,
    errors=CoarseErrors(),
)
# The rows of the ablation, beside what each leaves out; and the target as published.
VARIANTS = {
    "full": MINI,
    "no-patch-mask": replace(MINI, pairing=replace(MINI.pairing, patch_mask=False)),
    "no-pre-alignment": replace(
        MINI, pairing=replace(MINI.pairing, patch_mask=False, pre_align=False)
    ),
    "depth-target": replace(MINI, target=replace(MAPS, kind=TargetKind.DEPTH)),
    "strict-mask": replace(MINI, pairing=replace(MINI.pairing, patch_threshold=0.1)),
    "no-conditioning": replace(
        MINI,
        conditioned=False,
        target=replace(MAPS, kind=TargetKind.DEPTH),
        pairing=replace(MINI.pairing, patch_mask=False, pre_align=False),
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class RefinerParts:
    """What a refiner is made of, on the CPU."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDIMScheduler


def read_parts(folder: Path, variant: str | None = None) -> RefinerParts:
    """Read a text-to-image folder as the start of a refiner, its UNet's input widened."""
    read = {"variant": variant, "torch_dtype": torch.float32, "local_files_only": True}
    vae = AutoencoderKL.from_pretrained(folder / "vae", **read)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", **read)
    text_encoder = CLIPTextModel.from_pretrained(
        folder / "text_encoder", variant=variant, dtype=torch.float32, local_files_only=True
    )
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler", local_files_only=True)
    channels = int(vae.config.latent_channels) * (NUM_CONDITIONS + 1)
    return RefinerParts(
        vae, expand_input(unet, channels), text_encoder, tokenizer, scheduler_from(scheduler)
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


def mini_stage(
    parts: RefinerParts,
    examples: SceneExamples,
    how: BetterDepthTraining,
    seed: int,
    device: torch.device,
) -> Stage:
    """Return the training of a refiner on scenes, everything on `device`."""
    vae = parts.vae.to(device).eval().requires_grad_(False)
    empty = embed_empty_prompt(parts.text_encoder, parts.tokenizer).to(device)
    if device.type == "cpu":
        # PyTorch's fused attention has a slow backward pass there: a third of a step.
        parts.unet.set_attn_processor(AttnProcessor())
    denoiser = Denoiser(parts.unet.to(device), empty)
    scheduler = parts.scheduler
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(device)
    return betterdepth_stage(
        denoiser, DepthCodec(vae), scheduler, scene_source(examples), how, seed, device
    )


def scene_source(examples: SceneExamples) -> Source:
    """Return what draws batches of scenes."""

    def draw(count: int, draws: Draws) -> ExampleBatch:
        return draw_examples(examples, SHARES, count, draws)

    return draw


def save_parts(parts: RefinerParts, target: Target, folder: Path, variant: str) -> None:
    """Write a refiner as a diffusers pipeline folder in half precision."""
    pipeline = BetterDepthPipeline(
        parts.vae.cpu().half(),
        parts.unet.cpu().half(),
        parts.text_encoder.cpu().half(),
        parts.tokenizer,
        parts.scheduler,
        **target_settings(target),
        default_denoising_steps=DEFAULT_DENOISING_STEPS,
    )
    pipeline.save_pretrained(folder, safe_serialization=True, variant=variant)
