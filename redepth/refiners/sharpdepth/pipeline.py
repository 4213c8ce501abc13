"""SharpDepth as a diffusers pipeline: a picture and its metric depth in, sharp metric depth out.

    pipeline = SharpDepthPipeline.from_pretrained("sharpener/model", variant="fp16")
    depth_m = pipeline(image, metric_depth, ensemble_size=4).prediction

Two passes of one UNet with a gate between them; a Lotus-G does as well. Labels are made by the same
call (refiner.py beside this).

Source: SharpDepth (Pham et al. 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DDIMScheduler
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from redepth.errors import ConfigError
from redepth.refiners.latents.codec import pad_to_multiple
from redepth.refiners.latents.loading import PipelineParts, read_pipeline_parts
from redepth.refiners.latents.normalisation import minmax
from redepth.refiners.latents.pipeline import LatentDepthPipeline, batches
from redepth.refiners.sharpdepth.gating import GatedNoise, Gating, blend, latent_gate
from redepth.refiners.sharpdepth.metres import MetricMember, to_metres
from redepth.refiners.sharpdepth.one_step import NUM_LATENTS, TASK_CHANNELS, OneStepDenoiser
from redepth.settings import Compute, PublishedWeights, Weights
from redepth.types import ByteImage, FloatMap, ModelCard

NUM_DRAWS = 2  # of a member: the first pass's noise and the gate's
AGREEMENT = 0.5
_DEFAULT_GATING = Gating()


@dataclass
class SharpDepthOutput(BaseOutput):  # type: ignore[misc] # diffusers is untyped
    """Sharp depth in metres.

    Attributes:
        prediction: float32 [H, W], metres, the mean over the members.
        members: one a draw, each with what its scale rests on.
    """

    prediction: FloatMap
    members: tuple[MetricMember, ...]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedMetric:
    """One image as the UNet is shown it.

    Attributes:
        picture_1chw: latents of the picture.
        metric_1chw: latents of the normalised metric map.
        metric_1hw: that map, padded to whole latents.
        size_hw: of the map before it was padded.
    """

    picture_1chw: Tensor
    metric_1chw: Tensor
    metric_1hw: Tensor
    size_hw: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Sharpened:
    """What two passes give; float32 [B, H, W] each.

    Attributes:
        first_bhw: the first pass's normalised map: sharp, and free of the metric one.
        gate_bhw: where it differs from the metric map, in [0, 1].
        sharp_bhw: the second pass's normalised map.
    """

    first_bhw: Tensor
    gate_bhw: Tensor
    sharp_bhw: Tensor


class SharpDepthPipeline(LatentDepthPipeline):
    """A one-step depth model, trained from a Lotus-G; `save_pretrained` writes it as one folder."""

    @torch.no_grad()
    def __call__(
        self,
        image: Image.Image | ByteImage,
        metric_depth: FloatMap,
        *,
        ensemble_size: int = 1,
        batch_size: int | None = None,
        generator: torch.Generator | None = None,
        latents: Tensor | None = None,
        gating: Gating = _DEFAULT_GATING,
        agreement: float = AGREEMENT,
    ) -> SharpDepthOutput:
        """Sharpen a metric map; it stays in metres.

        Picture and metric map are encoded once for all members.

        Args:
            image: a picture, or uint8 [H, W, 3].
            metric_depth: float32 [H, W] in metres, any metric depth network's map of the picture.
            ensemble_size: members to draw.
            batch_size: members that share a batch; None: all.
            generator: of the noise.
            latents: the noise itself, float32 [2, E, C, h, w] (`latent_shape`), of both passes; its
                E goes before `ensemble_size`.
            gating: how the maps' difference becomes a gate.
            agreement: of the gate, below which a pixel carries scale and shift.

        Raises:
            ValueError: picture and map differ in size.
        """
        encoded = self.encode(image, metric_depth)
        if latents is None:
            shape = self.latent_shape(*metric_depth.shape)
            latents = self._draw((NUM_DRAWS, ensemble_size, *shape), generator)
        members: list[MetricMember] = []
        for batch in batches(latents.shape[1], batch_size):
            found = self.sharpen(encoded, latents[:, batch].to(self.unet.device), gating)
            maps = found.sharp_bhw.cpu().numpy(), found.gate_bhw.cpu().numpy()
            members += [
                to_metres(sharp_hw, gate_hw, metric_depth, agreement)
                for sharp_hw, gate_hw in zip(*maps, strict=True)
            ]
        mean_hw = np.mean([member.map_hw for member in members], axis=0).astype(np.float32)
        return SharpDepthOutput(mean_hw, tuple(members))

    @torch.no_grad()
    def encode(self, image: Image.Image | ByteImage, metric_depth: FloatMap) -> EncodedMetric:
        """Encode a picture and its metric map, once for all members.

        Raises:
            ValueError: they differ in size.
        """
        image_13hw, metric_1hw = self._image_and_map(image, metric_depth)
        return self.encode_normalised(image_13hw, minmax(metric_1hw).normalise(metric_1hw))

    @torch.no_grad()
    def encode_normalised(self, image_13hw: Tensor, metric_1hw: Tensor) -> EncodedMetric:
        """Encode a picture in [-1, 1] and its normalised metric map."""
        codec = self.codec
        size_hw = (int(metric_1hw.shape[-2]), int(metric_1hw.shape[-1]))
        padded_1hw = pad_to_multiple(metric_1hw[:, None], codec.factor)[:, 0]
        picture = codec.encode(pad_to_multiple(image_13hw, codec.factor))
        return EncodedMetric(picture, codec.encode_maps(padded_1hw), padded_1hw, size_hw)

    @torch.no_grad()
    def sharpen(
        self, encoded: EncodedMetric, noise_2bchw: Tensor, gating: Gating = _DEFAULT_GATING
    ) -> Sharpened:
        """Run both passes for a batch of members of one image.

        Args:
            noise_2bchw: float32 standard normal [2, B, C, h, w], of the first pass and of the gate.
        """
        codec, denoiser = self.codec, self.denoiser()
        picture = encoded.picture_1chw.expand(noise_2bchw.shape[1], -1, -1, -1)
        latents = denoiser(picture, noise_2bchw[0])
        first_bhw = codec.decode_maps(latents)
        gate_bhw = gating.gate(first_bhw, encoded.metric_1hw)
        noised = noise_2bchw[1]
        if gating.noise is GatedNoise.LATENT:
            noised = last_noised(self.scheduler, latents, noised)
        gated = blend(latent_gate(gate_bhw, codec.factor), noised, encoded.metric_1chw)
        sharp_bhw = codec.decode_maps(denoiser(picture, gated))
        height, width = encoded.size_hw
        return Sharpened(*(m[:, :height, :width] for m in (first_bhw, gate_bhw, sharp_bhw)))

    def denoiser(self) -> OneStepDenoiser:
        """Return the UNet with the empty prompt, at the last timestep."""
        last = int(self.scheduler.config.num_train_timesteps) - 1
        return OneStepDenoiser(self.unet, self.empty_prompt(), last)


def last_noised(scheduler: DDIMScheduler, latents_bchw: Tensor, noise_bchw: Tensor) -> Tensor:
    """Return latents at the last timestep: sqrt(abar) x + sqrt(1 - abar) noise."""
    last = int(scheduler.config.num_train_timesteps) - 1
    timesteps = torch.full((len(latents_bchw),), last, device=latents_bchw.device)
    noised: Tensor = scheduler.add_noise(latents_bchw, noise_bchw, timesteps)
    return noised


def load_sharpdepth(
    own: Weights, published: PublishedWeights | None, compute: Compute, device: torch.device
) -> tuple[SharpDepthPipeline, ModelCard]:
    """Load a Lotus-G, or a SharpDepth that was trained from one.

    Precision as `read_pipeline_parts` says.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are no one-step depth model's.
    """
    parts = read_pipeline_parts(own, published, compute, device)
    _require_one_step(parts)
    pipeline = SharpDepthPipeline(
        parts.vae, parts.unet, parts.text_encoder, parts.tokenizer, parts.scheduler
    )
    pipeline.drop_text_encoder()
    return pipeline, parts.card


def _require_one_step(parts: PipelineParts) -> None:
    channels, wanted = parts.channels(NUM_LATENTS)
    embedding = parts.unet.config.class_embed_type
    task_channels = parts.unet.config.projection_class_embeddings_input_dim
    if channels != wanted or (embedding, task_channels) != ("projection", TASK_CHANNELS):
        raise ConfigError(
            f"{parts.folder.source} is no one-step depth model: its UNet takes {channels} channels "
            f"and a class embedding of {embedding} ({task_channels}), expected {wanted} (picture "
            f"and noise of {wanted // NUM_LATENTS} each) and projection ({TASK_CHANNELS}), as "
            "Lotus-G has. Train one with redepth train sharpdepth"
        )
