"""What a step minimises: the re-lit picture in the prior's eyes, and the map's smoothness."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from redepth.coarse.part import Rendering
from redepth.geometry.letterbox import letterbox
from redepth.geometry.relighting import relight, to_srgb
from redepth.geometry.smoothness import smoothness
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior
from redepth.refiners.redepth_anything.draws import StepDraws
from redepth.refiners.redepth_anything.score_distillation import (
    add_noise,
    guide,
    score_distillation_gradient,
    score_distillation_loss,
)
from redepth.types import DepthKind


@dataclass(frozen=True, slots=True, eq=False)
class RelightTarget:
    """The linear photograph [1, 3, H, W]; caption and empty prompt embedded, [2, L, C]."""

    linear_13hw: Tensor
    prompt_2lc: Tensor


class StepLoss:
    """The loss of one step, a pure function of maps, offsets, draws and target.

    Nothing in it makes the host wait for the device.
    """

    def __init__(
        self,
        settings: ReDepthAnything,
        rendering: Rendering,
        kind: DepthKind,
        prior: DiffusionPrior,
    ) -> None:
        own_scale, own_margin = settings.render_scale, settings.render_margin
        self._settings = settings
        self._scale = rendering.scale if own_scale is None else own_scale
        self._margin = rendering.margin if own_margin is None else own_margin
        self._is_disparity = kind.grows_towards_camera
        self._prior = prior

    def __call__(
        self, raw_bhw: Tensor, offsets_b: Tensor, draws: StepDraws, target: RelightTarget
    ) -> Tensor:
        """Return each member's loss, [B]: smoothness, and score distillation of its re-lit picture.

        Args:
            raw_bhw: the members' maps, of the coarse map's kind.
            offsets_b: the scalars o.
        """
        loss_b = self._settings.smoothness_weight * smoothness(raw_bhw)
        if self._settings.score_weight > 0:
            depth_bhw = self._render_depth(raw_bhw, offsets_b)
            latents_bchw = self._encode_relit(depth_bhw, target, draws)
            gradient_bchw = self._score_gradient(latents_bchw, target, draws)
            score_b = score_distillation_loss(latents_bchw, gradient_bchw)
            loss_b = loss_b + self._settings.score_weight * score_b
        return loss_b

    def _render_depth(self, raw_bhw: Tensor, offsets_b: Tensor) -> Tensor:
        """Return z = (s + tanh o) / (raw + m) of a disparity, (s + tanh o) raw of a depth."""
        factor_b11 = self._scale + torch.tanh(offsets_b[:, None, None])
        if not self._is_disparity:
            return factor_b11 * raw_bhw
        return factor_b11 / (raw_bhw + self._margin)

    def _encode_relit(self, depth_bhw: Tensor, target: RelightTarget, draws: StepDraws) -> Tensor:
        """Light the shape, lay it over the photograph, and encode the picture for the prior."""
        settings = self._settings
        lit_b3hw = relight(depth_bhw, target.linear_13hw, draws.light, settings.shading_floor)
        framed = letterbox(to_srgb(lit_b3hw, settings.gamma), self._prior.size_px)
        return self._prior.encode(framed * 2.0 - 1.0, draws.posterior_noise_bchw)

    @torch.no_grad()
    def _score_gradient(
        self, latents_bchw: Tensor, target: RelightTarget, draws: StepDraws
    ) -> Tensor:
        """Ask the prior what it would change, with the caption against the empty prompt.

        The mean over the noise draws of a member, which are judged in one batch.
        """
        settings, draws_shape = self._settings, draws.timesteps_bk.shape
        timesteps, noise = draws.timesteps_bk.flatten(), draws.noise_bkchw.flatten(0, 1)
        count = len(timesteps)
        alpha_bar = self._prior.alphas_cumprod[timesteps]
        latents = latents_bchw.repeat_interleave(draws_shape[1], dim=0)
        predicted = self._prior.predict_noise(
            add_noise(latents, noise, alpha_bar).repeat(2, 1, 1, 1),
            timesteps.repeat(2),
            target.prompt_2lc.repeat_interleave(count, dim=0),
        )
        guided = guide(predicted[:count], predicted[count:], settings.guidance_scale)
        gradient = score_distillation_gradient(guided, noise, alpha_bar, settings.weighting)
        return gradient.view(*draws_shape, *gradient.shape[1:]).mean(dim=1)
