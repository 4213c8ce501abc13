"""How alike the gradients are that a prior sends to the depth map through two encoders.

For one scene, light and noise the re-lit picture is encoded by the prior's own encoder and by the
tiny one, and what score distillation says of the latents is brought back to the coarse map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from redepth.coarse.estimator import TokenDepthEstimator
from redepth.geometry.letterbox import letterbox
from redepth.geometry.relighting import relight, to_linear, to_srgb
from redepth.refiners.draws import generator
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior
from redepth.refiners.redepth_anything.score_distillation import (
    add_noise,
    guide,
    score_distillation_gradient,
)
from redepth.scenes.scene import Scene
from redepth.training.draws import normal
from redepth.training.mini_models.composites import draw_light

TIMESTEP_SHARES = (0.05, 0.15, 0.25, 0.35, 0.45, 0.55)


@dataclass(frozen=True, slots=True)
class Likeness:
    """Cosines with the gradient through the prior's own encoder, at one scene and timestep.

    Attributes:
        timestep_share: of T.
        same_latents: of the tiny encoder's, where both are given what the prior says of the full
            encoder's latents: the backward pass alone.
        whole: of the tiny encoder's, where the prior judges its own latents.
        length: of that gradient over that of the full one.
        other_posterior: of the full encoder's with another draw from its posterior.
        other_noise: of the full encoder's with another noise: what one step differs from the next.
    """

    timestep_share: float
    same_latents: float
    whole: float
    length: float
    other_posterior: float
    other_noise: float


class GradientBench:
    """A coarse model, a prior with its own encoder, and the same prior with the tiny one."""

    def __init__(
        self,
        method: ReDepthAnything,
        estimator: TokenDepthEstimator,
        full: DiffusionPrior,
        tiny: DiffusionPrior,
    ) -> None:
        self._method = method
        self._estimator = estimator
        self._full = full
        self._tiny = tiny

    def measure(self, scene: Scene) -> Iterator[Likeness]:
        """Yield how alike the gradients are, a timestep after the other; draws follow from it."""
        prompt_2lc = self._full.embed([scene.caption, ""])
        for step, share in enumerate(TIMESTEP_SHARES):
            own = generator(0, f"gradient of {scene.id}", 0, step)
            raw_1hw, picture_13hw = self._relit(scene, own)
            posterior, other_posterior, noise, other_noise = (
                normal(own, 1, *self._full.latent_shape) for _ in range(4)
            )
            timestep = torch.tensor([round(share * self._full.num_timesteps)])
            full = self._full.encode(picture_13hw, posterior)
            other = self._full.encode(picture_13hw, other_posterior)
            tiny = self._tiny.encode(picture_13hw, posterior)
            said, said_of_other, said_of_tiny = (
                self._score(latents.detach(), noise, timestep, prompt_2lc)
                for latents in (full, other, tiny)
            )
            said_otherwise = self._score(full.detach(), other_noise, timestep, prompt_2lc)
            wanted = _back(full, raw_1hw, said)
            whole = _back(tiny, raw_1hw, said_of_tiny)
            yield Likeness(
                timestep_share=share,
                same_latents=_cosine(_back(tiny, raw_1hw, said), wanted),
                whole=_cosine(whole, wanted),
                length=float(whole.norm() / wanted.norm()),
                other_posterior=_cosine(_back(other, raw_1hw, said_of_other), wanted),
                other_noise=_cosine(_back(full, raw_1hw, said_otherwise), wanted),
            )

    def _relit(self, scene: Scene, own: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the coarse map [1, H, W], and the picture that it is lit to, for the prior."""
        method, rendering = self._method, self._estimator.rendering
        coarse = self._estimator.estimate(scene.rgb_hw3)
        raw_1hw = torch.from_numpy(coarse.map_hw)[None].requires_grad_(True)
        rgb_hw3 = torch.from_numpy(scene.rgb_hw3).float() / 255.0
        linear_13hw = to_linear(rgb_hw3, method.gamma).permute(2, 0, 1)[None]
        depth_1hw = rendering.scale / (raw_1hw + rendering.margin)
        lit = relight(depth_1hw, linear_13hw, draw_light(1, own), method.shading_floor)
        framed = letterbox(to_srgb(lit, method.gamma), self._full.size_px)
        return raw_1hw, framed * 2.0 - 1.0

    @torch.no_grad()
    def _score(
        self, latents: Tensor, noise: Tensor, timestep: Tensor, prompt_2lc: Tensor
    ) -> Tensor:
        abar = self._full.alphas_cumprod[timestep]
        noisy = add_noise(latents, noise, abar).repeat(2, 1, 1, 1)
        both = self._full.predict_noise(noisy, timestep.repeat(2), prompt_2lc)
        guided = guide(both[:1], both[1:], self._method.guidance_scale)
        return score_distillation_gradient(guided, noise, abar, self._method.weighting)


def _back(latents: Tensor, raw_1hw: Tensor, gradient: Tensor) -> Tensor:
    (change,) = torch.autograd.grad(latents, raw_1hw, gradient, retain_graph=True)
    return change.flatten()


def _cosine(first: Tensor, second: Tensor) -> float:
    return float(functional.cosine_similarity(first, second, dim=0))
