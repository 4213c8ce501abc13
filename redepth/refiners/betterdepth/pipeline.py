"""BetterDepth as a diffusers pipeline: a picture and its coarse map in, refined maps out.

    pipeline = BetterDepthPipeline.from_pretrained("refiner/model", variant="fp16")
    depth = pipeline(image, coarse, num_inference_steps=2, ensemble_size=4).prediction

Labels are made by the same call (refiner.py beside this).

Source: BetterDepth (Zhang et al. 2024).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from redepth.refiners.latents.pipeline import (
    LatentDepthPipeline,
    batches,
    by_image,
    on_device,
    rgb_of,
)
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
    """Images as the denoiser sees them.

    Attributes:
        latents_bchw: picture and coarse map side by side, float32 [B, 2 C, h, w].
        coarse_bhw: the normalised coarse maps, float32 [B, H, W], not padded.
    """

    latents_bchw: Tensor
    coarse_bhw: Tensor

    def repeated(self, count: int) -> Conditions:
        """Return each image's, `count` times in a row: of its members."""
        return Conditions(
            self.latents_bchw.repeat_interleave(count, dim=0),
            self.coarse_bhw.repeat_interleave(count, dim=0),
        )


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
        if latents is None:
            latents = self._draw((ensemble_size, *self.latent_shape(*coarse.shape)), generator)
        members_ehw = self.refine_images(
            [rgb_of(image)],
            [coarse],
            latents[None],
            num_inference_steps=num_inference_steps or int(self.config.default_denoising_steps),
            members_per_batch=batch_size,
            larger_is_nearer=larger_is_nearer,
        )[0]
        return BetterDepthOutput(members_ehw.mean(axis=0), members_ehw)

    @torch.no_grad()
    def refine_images(
        self,
        rgbs_hw3: Sequence[ByteImage],
        coarse_maps: Sequence[FloatMap],
        noise_bechw: Tensor,
        *,
        num_inference_steps: int,
        members_per_batch: int | None,
        larger_is_nearer: bool,
    ) -> np.ndarray:
        """Refine the coarse maps of several pictures of one size.

        The denoiser takes `members_per_batch` members of every picture at a time, hence B times as
        many latents.

        Args:
            noise_bechw: float32 standard normal of each picture's members, see `latent_shape`.

        Returns:
            Every picture's members, float32 [B, E, H, W], in its coarse map's unit.

        Raises:
            ValueError: a picture and its map differ in size, or the pictures do.
        """
        sign = 1.0 if larger_is_nearer else -1.0
        image_b3hw, coarse_bhw = on_device(rgbs_hw3, coarse_maps, self.unet.device)
        coarse_bhw = coarse_bhw * sign
        normalisation = quantile_range(coarse_bhw)
        conditions = self.condition(image_b3hw, normalisation.normalise(coarse_bhw))
        maps = []
        for group in batches(noise_bechw.shape[1], members_per_batch):
            noise = noise_bechw[:, group].to(self.unet.device)
            count = noise.shape[1]
            refined = self.denoise(
                conditions.repeated(count), noise.flatten(0, 1), num_inference_steps
            )
            own_unit = sign * normalisation.repeated(count).denormalise(refined)
            maps.append(by_image(own_unit, count))
        members_behw: np.ndarray = torch.cat(maps, dim=1).cpu().numpy()
        return members_behw

    @torch.no_grad()
    def condition(self, image_b3hw: Tensor, coarse_bhw: Tensor) -> Conditions:
        """Encode pictures in [-1, 1] and their normalised coarse maps, once for all members.

        All are padded at the right and below by repeating their last column and row.
        """
        codec = self.codec
        shown = target_of(self.config).condition(coarse_bhw)[:, None].expand(-1, 3, -1, -1)
        padded = pad_to_multiple(torch.cat((image_b3hw, shown)), codec.factor)
        pictures, maps = codec.encode(padded).chunk(2)
        return Conditions(torch.cat((pictures, maps), dim=1), coarse_bhw)

    @torch.no_grad()
    def denoise(self, conditions: Conditions, noise_bchw: Tensor, num_steps: int) -> Tensor:
        """Denoise a batch of members.

        Args:
            conditions: of each member.
            noise_bchw: float32 standard normal, one a member, shape of `latent_shape`.
            num_steps: of DDIM, spaced as the scheduler's settings say.

        Returns:
            Normalised refined maps, float32 [B, H, W].
        """
        prompt = self.empty_prompt().expand(len(noise_bchw), -1, -1)
        self.scheduler.set_timesteps(num_steps)
        latents = noise_bchw
        for timestep in self.scheduler.timesteps:
            shown = torch.cat((conditions.latents_bchw, latents), dim=1).to(self.unet.dtype)
            output = self.unet(shown, timestep.to(shown.device), encoder_hidden_states=prompt)
            latents = self.scheduler.step(output.sample.float(), timestep, latents).prev_sample
        height, width = conditions.coarse_bhw.shape[-2:]
        decoded = self.codec.decode_maps(latents)[:, :height, :width]
        return target_of(self.config).refine(decoded, conditions.coarse_bhw)


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
