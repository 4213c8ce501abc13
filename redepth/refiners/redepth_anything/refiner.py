"""Re-Depth Anything: test-time optimisation of one image by re-lighting and score distillation.

The predicted shape is lit by a random light and laid over the photograph; a frozen diffusion prior
says how the picture would have to change to look real; that gradient flows back into the encoder's
tokens, the decoder and one scale offset, for this image only.

Source: Re-Depth Anything. Every constant is a recipe setting with the paper's default. What differs
from the paper: a member whose loss or gradient is not finite is stopped and named, not carried on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from redepth.coarse.estimator import DepthDecoder, TokenDepthEstimator, TokenMaps
from redepth.errors import RefinementFailed
from redepth.geometry.letterbox import letterbox
from redepth.geometry.relighting import relight, to_linear, to_srgb
from redepth.geometry.smoothness import smoothness
from redepth.refiners.draws import generator
from redepth.refiners.part import LoadContext
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.refiners.redepth_anything.captioners import captioners
from redepth.refiners.redepth_anything.captioners.image_to_text import Captioner, load_captioner
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior, load_prior
from redepth.refiners.redepth_anything.draws import DrawShape, StepDraws, draw_step
from redepth.refiners.redepth_anything.score_distillation import (
    add_noise,
    guide,
    score_distillation_gradient,
    score_distillation_loss,
)
from redepth.refiners.refiner import RefinementInput
from redepth.types import ByteImage, Members, ModelCard


class ReDepthAnythingRefiner:
    """Optimise an ensemble for one image at a time, with models that are loaded once."""

    def __init__(
        self,
        settings: ReDepthAnything,
        seed: int,
        estimator: TokenDepthEstimator,
        prior: DiffusionPrior,
        captioner: Captioner | None,
        device: torch.device,
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._estimator = estimator
        self._prior = prior
        self._captioner = captioner
        self._device = device
        self._draw_shape = DrawShape(prior.latent_shape, prior.num_timesteps)

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """The cards of the prior, of its tiny encoder and of the captioner if there are such."""
        captioner = () if self._captioner is None else (self._captioner.card,)
        return (*self._prior.cards, *captioner)

    def caption(self, rgb_hw3: ByteImage, own_caption: str | None) -> str:
        """Return the list's own caption, else the captioner's, else the recipe's fixed prompt."""
        if own_caption:
            return own_caption
        if self._captioner is not None:
            return self._captioner.caption(rgb_hw3)
        return self._settings.caption.prompt

    def refine(self, scene: RefinementInput) -> Members:
        """Optimise every member afresh and return the maps of those that came through.

        The coarse forward, the photograph and the prompt's embedding are made once; a member costs
        its own copy of tokens and decoder. Members share a step in groups of `members_per_batch`.

        Returns:
            Members, float32 [E, H, W] raw maps of the coarse map's kind.

        Raises:
            RefinementFailed: every member went non-finite.
        """
        target = self._judged_image(scene)
        numbers = range(self._settings.num_members)
        size = self._settings.members_per_batch
        groups = [numbers[first : first + size] for first in range(0, len(numbers), size)]
        finished = [m for group in groups for m in self._optimise(scene, target, group)]
        return _collect(finished)

    def _judged_image(self, scene: RefinementInput) -> RelightTarget:
        """Make, once an image, what every step of every member looks at."""
        rgb = torch.from_numpy(scene.rgb_hw3).to(self._device, torch.float32) / 255.0
        linear_13hw = to_linear(rgb, self._settings.gamma).permute(2, 0, 1).unsqueeze(0)
        return RelightTarget(linear_13hw.contiguous(), self._prior.embed([scene.caption, ""]))

    def _optimise(
        self, scene: RefinementInput, target: RelightTarget, numbers: Sequence[int]
    ) -> list[_Member]:
        """Run all steps of one group of members together; return them, stopped ones included."""
        tokens = scene.coarse.features
        if not isinstance(tokens, TokenMaps):
            raise TypeError("Re-Depth Anything needs an estimator that exposes its token maps")
        members = [self._new_member(number, tokens) for number in numbers]
        for step in range(self._settings.num_steps):
            running = [member for member in members if member.stopped is None]
            if not running:
                break
            draws = self._draw(scene.image_id, running, step)
            self._step(running, target, draws, step)
        return members

    def _new_member(self, number: int, tokens: TokenMaps) -> _Member:
        """Start a member from the untouched tokens and checkpoint."""
        settings = self._settings
        patch_tokens = [t.detach().clone().requires_grad_(True) for t in tokens.patch_tokens]
        decoder = self._estimator.new_decoder()
        scale_offset = torch.zeros((), device=self._device, requires_grad=True)
        optimiser = torch.optim.AdamW(
            [
                {"params": patch_tokens, "lr": settings.token_learning_rate},
                {"params": list(decoder.parameters()), "lr": settings.decoder_learning_rate},
                {"params": [scale_offset], "lr": settings.scale_learning_rate},
            ],
            betas=settings.betas,
            weight_decay=settings.weight_decay,
        )
        return _Member(number, tokens, patch_tokens, decoder, scale_offset, optimiser)

    def _draw(self, image_id: str, members: Sequence[_Member], step: int) -> StepDraws:
        generators = [generator(self._seed, image_id, m.number, step) for m in members]
        return draw_step(generators, self._settings, self._draw_shape, self._device)

    def _step(
        self, members: Sequence[_Member], target: RelightTarget, draws: StepDraws, step: int
    ) -> None:
        """Move every member by one AdamW step; stop those that are no longer finite."""
        raw_bhw = torch.cat([member.decode() for member in members])
        loss_b = self._settings.smoothness_weight * smoothness(raw_bhw)
        if self._settings.score_weight > 0:
            depth_bhw = self._render_depth(raw_bhw, members)
            latents_bchw = self._encode_relit(depth_bhw, target, draws)
            gradient_bchw = self._score_gradient(latents_bchw, target, draws)
            score_b = score_distillation_loss(latents_bchw, gradient_bchw)
            loss_b = loss_b + self._settings.score_weight * score_b
        torch.autograd.backward(loss_b.sum())
        for member, loss in zip(members, loss_b.detach(), strict=True):
            member.advance(float(loss), step)

    def _render_depth(self, raw_bhw: Tensor, members: Sequence[_Member]) -> Tensor:
        """Return z = (s + tanh o) / (raw + m) of a disparity, (s + tanh o) raw of a depth."""
        settings, estimator = self._settings, self._estimator
        own_scale, own_margin = settings.render_scale, settings.render_margin
        scale = estimator.rendering.scale if own_scale is None else own_scale
        offsets_b11 = torch.stack([m.scale_offset for m in members])[:, None, None]
        factor_b11 = scale + torch.tanh(offsets_b11)
        if not estimator.kind.grows_towards_camera:
            return factor_b11 * raw_bhw
        margin = estimator.rendering.margin if own_margin is None else own_margin
        return factor_b11 / (raw_bhw + margin)

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
        """Ask the prior what it would change, with the caption against the empty prompt."""
        settings, count = self._settings, len(latents_bchw)
        alpha_bar_b = self._prior.alphas_cumprod[draws.timesteps_b]
        noisy_bchw = add_noise(latents_bchw, draws.noise_bchw, alpha_bar_b)
        predicted = self._prior.predict_noise(
            noisy_bchw.repeat(2, 1, 1, 1),
            draws.timesteps_b.repeat(2),
            target.prompt_2lc.repeat_interleave(count, dim=0),
        )
        guided = guide(predicted[:count], predicted[count:], settings.guidance_scale)
        return score_distillation_gradient(
            guided, draws.noise_bchw, alpha_bar_b, settings.weighting
        )


def load_redepth_anything(
    settings: ReDepthAnything, context: LoadContext
) -> ReDepthAnythingRefiner:
    """Load the prior, and the captioner if the recipe names one.

    Raises:
        ConfigError: weights that cannot be had, or are not what the presets stand for.
    """
    prior = load_prior(settings.prior, context.compute, context.device)
    captioner = None
    if settings.caption.captioner is not None:
        part, weights = captioners[settings.caption.captioner], settings.caption.weights
        captioner = load_captioner(part, weights, context.compute, context.device)
    # The part's check has seen that the coarse model states its rendering.
    estimator = cast("TokenDepthEstimator", context.estimator)
    return ReDepthAnythingRefiner(
        settings, context.seed, estimator, prior, captioner, context.device
    )


@dataclass(frozen=True, slots=True, eq=False)
class RelightTarget:
    """The linear photograph [1, 3, H, W]; caption and empty prompt embedded, [2, L, C]."""

    linear_13hw: Tensor
    prompt_2lc: Tensor


class _Member:
    """One member's own tokens, decoder, scale offset and optimiser: what a step changes."""

    def __init__(
        self,
        number: int,
        tokens: TokenMaps,
        patch_tokens: list[Tensor],
        decoder: DepthDecoder,
        scale_offset: Tensor,
        optimiser: torch.optim.Optimizer,
    ) -> None:
        self.number = number
        self.stopped: str | None = None
        self.scale_offset = scale_offset
        self._tokens = tokens
        self._patch_tokens = patch_tokens
        self._decoder = decoder
        self._optimiser = optimiser

    def decode(self) -> Tensor:
        """Return the raw map [1, H, W] of the member as it stands."""
        return self._decoder(self._patch_tokens, self._tokens.class_tokens, self._tokens.grid_hw)

    def advance(self, loss: float, step: int) -> None:
        """Take the optimiser's step, or stop where loss or gradient is not finite."""
        if not np.isfinite(loss):
            self._stop(f"loss is {loss} at step {step}")
        elif not all(bool(torch.isfinite(gradient).all()) for gradient in self._gradients()):
            self._stop(f"gradient is not finite at step {step}")
        else:
            self._optimiser.step()
            self._optimiser.zero_grad(set_to_none=True)

    def map_hw(self) -> np.ndarray:
        """Return the raw map after the last step, float32 [H, W] on the CPU."""
        with torch.no_grad():
            return self.decode()[0].float().cpu().numpy()

    def _stop(self, why: str) -> None:
        self.stopped = f"member {self.number}: {why}"

    def _gradients(self) -> list[Tensor]:
        groups = self._optimiser.param_groups
        return [p.grad for group in groups for p in group["params"] if p.grad is not None]


def _collect(members: Sequence[_Member]) -> Members:
    """Gather the maps of the members that came through."""
    stopped = tuple(member.stopped for member in members if member.stopped is not None)
    through = [member for member in members if member.stopped is None]
    if not through:
        raise RefinementFailed(f"no member came through: {'; '.join(stopped)}")
    maps_ehw = np.stack([member.map_hw() for member in through])
    offsets = tuple(float(member.scale_offset.detach()) for member in through)
    return Members(maps_ehw, stopped, offsets)
