"""BetterDepth as a diffusers pipeline: a picture and its coarse map in, refined maps out.

    pipeline = BetterDepthPipeline.from_pretrained("refiner/model", variant="fp16")
    depth = pipeline(image, coarse, num_inference_steps=2, ensemble_size=4).prediction

Labels are made by the same call (refiner.py beside this).

Source: BetterDepth (Zhang et al. 2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from redepth.errors import ConfigError
from redepth.refiners.betterdepth.target import Target, TargetKind
from redepth.refiners.latents.codec import pad_to_multiple
from redepth.refiners.latents.loading import PipelineParts, read_pipeline_parts
from redepth.refiners.latents.normalisation import quantile_range
from redepth.refiners.latents.pipeline import LatentDepthPipeline, batches
from redepth.settings import Compute, PublishedWeights, Weights
from redepth.types import ByteImage, FloatMap, ModelCard
from redepth.weights import reading

_NUM_LATENTS = 3  # picture, coarse map, noisy target


@dataclass
class BetterDepthOutput(BaseOutput):  # type: ignore[misc] # diffusers is untyped
    """Refined maps in the coarse map's unit.

    Attributes:
        prediction: float32 [H, W], the mean over the members.
        members: float32 [E, H, W], one a draw.
    """

    prediction: FloatMap
    members: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """One image as the denoiser sees it.

    Attributes:
        latents_1chw: picture and coarse map side by side, float32 [1, 2 C, h, w].
        coarse_1hw: the normalised coarse map, float32 [1, H, W], not padded.
    """

    latents_1chw: Tensor
    coarse_1hw: Tensor


class BetterDepthPipeline(LatentDepthPipeline):
    """A trained refiner of relative depth; `save_pretrained` writes it as one folder.

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
        super().__init__(vae, unet, text_encoder, tokenizer, scheduler)
        self.register_to_config(
            target=target,
            clip=clip,
            residual_scale=residual_scale,
            residual_clip=residual_clip,
            default_denoising_steps=default_denoising_steps,
        )

    @torch.no_grad()
    def __call__(
        self,
        image: Image.Image | ByteImage,
        coarse: FloatMap,
        *,
        num_inference_steps: int | None = None,
        ensemble_size: int = 1,
        batch_size: int | None = None,
        generator: torch.Generator | None = None,
        latents: Tensor | None = None,
        larger_is_nearer: bool = True,
    ) -> BetterDepthOutput:
        """Refine a coarse map; its scale and shift do not matter and are kept.

        Picture and coarse map are encoded once for all members.

        Args:
            image: a picture, or uint8 [H, W, 3].
            coarse: float32 [H, W], any depth network's map of the picture.
            num_inference_steps: of DDIM; None: what the model was trained to take.
            ensemble_size: members to draw.
            batch_size: members that share a batch; None: all.
            generator: of the noise.
            latents: the noise itself, float32 [E, C, h, w] (`latent_shape`); its E goes before
                `ensemble_size`.
            larger_is_nearer: True for disparity, False for depth.

        Raises:
            ValueError: picture and map differ in size.
        """
        sign = 1.0 if larger_is_nearer else -1.0
        image_13hw, coarse_1hw = self._image_and_map(image, coarse)
        coarse_1hw = coarse_1hw * sign
        normalisation = quantile_range(coarse_1hw)
        conditions = self.condition(image_13hw, normalisation.normalise(coarse_1hw))
        if latents is None:
            latents = self._draw((ensemble_size, *self.latent_shape(*coarse.shape)), generator)
        num_steps = num_inference_steps or int(self.config.default_denoising_steps)
        maps = []
        for batch in batches(len(latents), batch_size):
            refined = self.denoise(conditions, latents[batch].to(self.unet.device), num_steps)
            maps.append(sign * normalisation.denormalise(refined).cpu().numpy())
        members_ehw = np.concatenate(maps).astype(np.float32)
        return BetterDepthOutput(members_ehw.mean(axis=0), members_ehw)

    @torch.no_grad()
    def condition(self, image_13hw: Tensor, coarse_1hw: Tensor) -> Conditions:
        """Encode a picture in [-1, 1] and its normalised coarse map, once for all members.

        Both are padded at the right and below by repeating their last column and row.
        """
        codec = self.codec
        shown = target_of(self.config).condition(coarse_1hw)[:, None].expand(-1, 3, -1, -1)
        padded = pad_to_multiple(torch.cat((image_13hw, shown)), codec.factor)
        latents = codec.encode(padded)
        return Conditions(torch.cat((latents[:1], latents[1:]), dim=1), coarse_1hw)

    @torch.no_grad()
    def denoise(self, conditions: Conditions, noise_bchw: Tensor, num_steps: int) -> Tensor:
        """Denoise a batch of members of one image.

        Args:
            noise_bchw: float32 standard normal, one a member, shape of `latent_shape`.
            num_steps: of DDIM, spaced as the scheduler's settings say.

        Returns:
            Normalised refined maps, float32 [B, H, W].
        """
        count = len(noise_bchw)
        fixed = conditions.latents_1chw.expand(count, -1, -1, -1)
        prompt = self.empty_prompt().expand(count, -1, -1)
        self.scheduler.set_timesteps(num_steps)
        latents = noise_bchw
        for timestep in self.scheduler.timesteps:
            shown = torch.cat((fixed, latents), dim=1).to(self.unet.dtype)
            output = self.unet(shown, timestep.to(shown.device), encoder_hidden_states=prompt)
            latents = self.scheduler.step(output.sample.float(), timestep, latents).prev_sample
        height, width = conditions.coarse_1hw.shape[-2:]
        decoded = self.codec.decode_maps(latents)[:, :height, :width]
        return target_of(self.config).refine(decoded, conditions.coarse_1hw)


def load_betterdepth(
    own: Weights, published: PublishedWeights | None, compute: Compute, device: torch.device
) -> tuple[BetterDepthPipeline, ModelCard]:
    """Load a trained BetterDepth; precision as `read_pipeline_parts` says.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are no BetterDepth's.
    """
    parts = read_pipeline_parts(own, published, compute, device)
    with reading("the settings", parts.folder.path):
        config = BetterDepthPipeline.load_config(parts.folder.path, local_files_only=True)
        settings = target_config(target_of(config))
    _require_betterdepth(parts)
    pipeline = BetterDepthPipeline(
        parts.vae, parts.unet, parts.text_encoder, parts.tokenizer, parts.scheduler, **settings
    )
    pipeline.drop_text_encoder()
    return pipeline, parts.card


def target_config(target: Target) -> dict[str, Any]:
    """Return a target as the pipeline's settings."""
    values = target.model_dump(mode="json")
    return {"target": values.pop("kind"), **values}


def target_of(config: Mapping[str, Any]) -> Target:
    """Return the target that a pipeline's settings state.

    Raises:
        KeyError, ValueError: they state none.
    """
    return Target(
        kind=TargetKind(config["target"]),
        clip=float(config["clip"]),
        residual_scale=float(config["residual_scale"]),
        residual_clip=float(config["residual_clip"]),
    )


def _require_betterdepth(parts: PipelineParts) -> None:
    """Refuse what loads and would fail, or mislead, at the first step."""
    channels, wanted = parts.channels(_NUM_LATENTS)
    prediction = parts.scheduler.config.prediction_type
    if channels != wanted or prediction != "v_prediction":
        raise ConfigError(
            f"{parts.folder.source} is no BetterDepth model: its UNet takes {channels} channels "
            f"and predicts {prediction}, expected {wanted} (picture, coarse map and noise of "
            f"{wanted // _NUM_LATENTS} each) and v_prediction. Train one with redepth train "
            "betterdepth"
        )
