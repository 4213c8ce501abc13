"""SharpDepth as a diffusers pipeline: a picture and its metric depth in, sharp metric depth out.

    pipeline = SharpDepthPipeline.from_pretrained("sharpener/model", variant="fp16")
    depth_m = pipeline(image, metric_depth, ensemble_size=4).prediction

Two passes of one UNet with a gate between them; a Lotus-G does as well. Labels are made by the same
call (refiner.py beside this).

Source: SharpDepth (Pham et al. 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
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
from redepth.refiners.latents.pipeline import (
    LatentDepthPipeline,
    batches,
    by_image,
    on_device,
    rgb_of,
)
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
    """Images as the UNet is shown them.

    Attributes:
        picture_bchw: latents of the pictures.
        metric_bchw: latents of the normalised metric maps.
        metric_bhw: those maps, padded to whole latents.
        size_hw: of the maps before they were padded.
    """

    picture_bchw: Tensor
    metric_bchw: Tensor
    metric_bhw: Tensor
    size_hw: tuple[int, int]

    def repeated(self, count: int) -> EncodedMetric:
        """Return each image's, `count` times in a row: of its members."""
        return EncodedMetric(
            self.picture_bchw.repeat_interleave(count, dim=0),
            self.metric_bchw.repeat_interleave(count, dim=0),
            self.metric_bhw.repeat_interleave(count, dim=0),
            self.size_hw,
        )


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
        if latents is None:
            shape = self.latent_shape(*metric_depth.shape)
            latents = self._draw((NUM_DRAWS, ensemble_size, *shape), generator)
        (members,) = self.sharpen_images(
            [rgb_of(image)],
            [metric_depth],
            latents[None],
            members_per_batch=batch_size,
            gating=gating,
            agreement=agreement,
        )
        mean_hw = np.mean([member.map_hw for member in members], axis=0).astype(np.float32)
        return SharpDepthOutput(mean_hw, members)

    @torch.no_grad()
    def sharpen_images(
        self,
        rgbs_hw3: Sequence[ByteImage],
        metric_maps: Sequence[FloatMap],
        noise_b2echw: Tensor,
        *,
        members_per_batch: int | None,
        gating: Gating,
        agreement: float,
    ) -> list[tuple[MetricMember, ...]]:
        """Sharpen the metric maps of several pictures of one size.

        The UNet takes `members_per_batch` members of every picture at a time, hence B times as many
        latents.

        Args:
            noise_b2echw: float32 standard normal of each picture, of both passes and all members.

        Returns:
            Every picture's members, each with what its scale rests on.

        Raises:
            ValueError: a picture and its map differ in size, or the pictures do.
        """
        encoded = self.encode(rgbs_hw3, metric_maps)
        sharp, gates = [], []
        for group in batches(noise_b2echw.shape[2], members_per_batch):
            noise = noise_b2echw[:, :, group].to(self.unet.device).transpose(0, 1)
            count = noise.shape[2]
            found = self.sharpen(encoded.repeated(count), noise.flatten(1, 2), gating)
            sharp.append(by_image(found.sharp_bhw, count))
            gates.append(by_image(found.gate_bhw, count))
        maps = (torch.cat(parts, dim=1).cpu().numpy() for parts in (sharp, gates))
        return [
            tuple(
                to_metres(sharp_hw, gate_hw, metric_hw, agreement)
                for sharp_hw, gate_hw in zip(sharp_ehw, gate_ehw, strict=True)
            )
            for sharp_ehw, gate_ehw, metric_hw in zip(*maps, metric_maps, strict=True)
        ]

    @torch.no_grad()
    def encode(
        self, rgbs_hw3: Sequence[ByteImage], metric_maps: Sequence[FloatMap]
    ) -> EncodedMetric:
        """Encode pictures and their metric maps, once for all members.

        Raises:
            ValueError: a picture and its map differ in size, or the pictures do.
        """
        image_b3hw, metric_bhw = on_device(rgbs_hw3, metric_maps, self.unet.device)
        return self.encode_normalised(image_b3hw, minmax(metric_bhw).normalise(metric_bhw))

    @torch.no_grad()
    def encode_normalised(self, image_b3hw: Tensor, metric_bhw: Tensor) -> EncodedMetric:
        """Encode pictures in [-1, 1] and their normalised metric maps."""
        codec = self.codec
        size_hw = (int(metric_bhw.shape[-2]), int(metric_bhw.shape[-1]))
        padded_bhw = pad_to_multiple(metric_bhw[:, None], codec.factor)[:, 0]
        picture = codec.encode(pad_to_multiple(image_b3hw, codec.factor))
        return EncodedMetric(picture, codec.encode_maps(padded_bhw), padded_bhw, size_hw)

    @torch.no_grad()
    def sharpen(
        self, encoded: EncodedMetric, noise_2bchw: Tensor, gating: Gating = _DEFAULT_GATING
    ) -> Sharpened:
        """Run both passes for a batch of members.

        Args:
            encoded: of each member.
            noise_2bchw: float32 standard normal [2, B, C, h, w], of the first pass and of the gate.
        """
        codec, denoiser = self.codec, self.denoiser()
        latents = denoiser(encoded.picture_bchw, noise_2bchw[0])
        first_bhw = codec.decode_maps(latents)
        gate_bhw = gating.gate(first_bhw, encoded.metric_bhw)
        noised = noise_2bchw[1]
        if gating.noise is GatedNoise.LATENT:
            noised = last_noised(self.scheduler, latents, noised)
        gated = blend(latent_gate(gate_bhw, codec.factor), noised, encoded.metric_bchw)
        sharp_bhw = codec.decode_maps(denoiser(encoded.picture_bchw, gated))
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
