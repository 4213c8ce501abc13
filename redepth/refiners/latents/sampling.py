"""From noise to a refined map: DDIM over latents that are conditioned on picture and coarse map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from redepth.refiners.latents.codec import DepthCodec, pad_to_multiple
from redepth.refiners.latents.target import Target


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """One image as the denoiser sees it.

    Attributes:
        latents_1chw: picture and coarse map side by side, float32 [1, 2 C, h, w].
        coarse_1hw: the coarse map in its frame, float32 [1, H, W], not padded.
    """

    latents_1chw: Tensor
    coarse_1hw: Tensor


class RefinementSampler:
    """A trained denoiser with its codec. Takes and gives float32; holds no state between calls."""

    def __init__(
        self,
        codec: DepthCodec,
        unet: UNet2DConditionModel,
        scheduler: DDIMScheduler,
        empty_1lc: Tensor,
        target: Target,
    ) -> None:
        self.codec = codec
        self._unet = unet
        self._scheduler = scheduler
        self._empty_1lc = empty_1lc.to(unet.device, unet.dtype)
        self._target = target

    def latent_shape(self, height_px: int, width_px: int) -> tuple[int, int, int]:
        """Return (channels, height, width) of the latents of a map: sides rounded up."""
        factor = self.codec.factor
        return self.codec.num_channels, -(-height_px // factor), -(-width_px // factor)

    @torch.no_grad()
    def condition(self, image_13hw: Tensor, coarse_1hw: Tensor) -> Conditions:
        """Encode a picture in [-1, 1] and its coarse map in the frame, once for all members.

        Both are padded at the right and below by repeating their last column and row.
        """
        shown = self._target.condition(coarse_1hw)[:, None].expand(-1, 3, -1, -1)
        padded = pad_to_multiple(torch.cat((image_13hw, shown)), self.codec.factor)
        latents = self.codec.encode(padded)
        return Conditions(torch.cat((latents[:1], latents[1:]), dim=1), coarse_1hw)

    @torch.no_grad()
    def refine(self, conditions: Conditions, noise_bchw: Tensor, num_steps: int) -> Tensor:
        """Denoise a batch of members of one image.

        Args:
            noise_bchw: float32 standard normal, one a member, shape of `latent_shape`.
            num_steps: of DDIM, spaced as the scheduler's settings say.

        Returns:
            Refined maps in the frame, float32 [B, H, W].
        """
        count = len(noise_bchw)
        fixed = conditions.latents_1chw.expand(count, -1, -1, -1)
        prompt = self._empty_1lc.expand(count, -1, -1)
        self._scheduler.set_timesteps(num_steps)
        latents = noise_bchw
        for timestep in self._scheduler.timesteps:
            shown = torch.cat((fixed, latents), dim=1).to(self._unet.dtype)
            output = self._unet(shown, timestep.to(shown.device), encoder_hidden_states=prompt)
            latents = self._scheduler.step(output.sample.float(), timestep, latents).prev_sample
        height, width = conditions.coarse_1hw.shape[-2:]
        decoded = self.codec.decode_maps(latents)[:, :height, :width]
        return self._target.refine(decoded, conditions.coarse_1hw)
