"""From a metric map to a sharp one: two passes of one UNet with a gate between them.

Source: SharpDepth (Pham et al. 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from redepth.refiners.latents.codec import DepthCodec, pad_to_multiple
from redepth.refiners.latents.gating import GatedNoise, Gating, latent_gate, mix
from redepth.refiners.latents.one_step import OneStepDenoiser


@dataclass(frozen=True, slots=True, eq=False)
class EncodedMetric:
    """One image as the UNet is shown it.

    Attributes:
        picture_1chw: latents of the picture.
        metric_1chw: latents of the metric map in its frame.
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
        first_bhw: the first pass's map in the frame: sharp, and free of the metric one.
        gate_bhw: where it differs from the metric map, in [0, 1].
        sharp_bhw: the second pass's map in the frame.
    """

    first_bhw: Tensor
    gate_bhw: Tensor
    sharp_bhw: Tensor


class MetricSharpener:
    """A one-step denoiser with its codec. Takes and gives float32; no state between calls."""

    def __init__(
        self,
        codec: DepthCodec,
        denoiser: OneStepDenoiser,
        scheduler: DDIMScheduler,
        gating: Gating,
    ) -> None:
        """Take the parts.

        Args:
            denoiser: of both passes.
            scheduler: whose last noise level is that of `GatedNoise.LATENT`.
        """
        self.codec = codec
        self._denoiser = denoiser
        self._scheduler = scheduler
        self.gating = gating

    def latent_shape(self, height_px: int, width_px: int) -> tuple[int, int, int]:
        """Return (channels, height, width) of the latents of a map: sides rounded up."""
        factor = self.codec.factor
        return self.codec.num_channels, -(-height_px // factor), -(-width_px // factor)

    @torch.no_grad()
    def encode(self, image_13hw: Tensor, metric_1hw: Tensor) -> EncodedMetric:
        """Encode a picture in [-1, 1] and its metric map in the frame, once for all members."""
        size_hw = (int(metric_1hw.shape[-2]), int(metric_1hw.shape[-1]))
        padded_1hw = pad_to_multiple(metric_1hw[:, None], self.codec.factor)[:, 0]
        picture = self.codec.encode(pad_to_multiple(image_13hw, self.codec.factor))
        return EncodedMetric(picture, self.codec.encode_maps(padded_1hw), padded_1hw, size_hw)

    @torch.no_grad()
    def sharpen(self, encoded: EncodedMetric, noise_2bchw: Tensor) -> Sharpened:
        """Run both passes for a batch of members of one image.

        Args:
            noise_2bchw: float32 standard normal [2, B, C, h, w], of the first pass and of the gate.
        """
        count = noise_2bchw.shape[1]
        picture = encoded.picture_1chw.expand(count, -1, -1, -1)
        latents = self._denoiser(picture, noise_2bchw[0])
        first_bhw = self.codec.decode_maps(latents)
        gate_bhw = self.gating.gate(first_bhw, encoded.metric_1hw)
        noised = noise_2bchw[1]
        if self.gating.noise is GatedNoise.LATENT:
            noised = last_noised(self._scheduler, latents, noised)
        gated = mix(latent_gate(gate_bhw, self.codec.factor), noised, encoded.metric_1chw)
        sharp_bhw = self.codec.decode_maps(self._denoiser(picture, gated))
        height, width = encoded.size_hw
        return Sharpened(*(m[:, :height, :width] for m in (first_bhw, gate_bhw, sharp_bhw)))


def last_noised(scheduler: DDIMScheduler, latents_bchw: Tensor, noise_bchw: Tensor) -> Tensor:
    """Return latents at the last timestep: sqrt(abar) x + sqrt(1 - abar) noise."""
    last = int(scheduler.config.num_train_timesteps) - 1
    timesteps = torch.full((len(latents_bchw),), last, device=latents_bchw.device)
    noised: Tensor = scheduler.add_noise(latents_bchw, noise_bchw, timesteps)
    return noised
