"""Re-Depth Anything: test-time optimisation of one image by re-lighting and score distillation.

The predicted shape is lit by a random light and laid over the photograph; a frozen diffusion prior
says how the picture would have to change to look real; that gradient flows back into the encoder's
tokens, the decoder and one scale offset, for this image only.

Source: Re-Depth Anything. Every constant is a recipe setting with the paper's default. What differs
from the paper: a member whose loss or gradient is not finite is stopped and named, not carried on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch

from redepth.coarse.estimator import TokenDepthEstimator, TokenMaps
from redepth.errors import RefinementFailed
from redepth.geometry.relighting import to_linear
from redepth.refiners.draws import generator
from redepth.refiners.part import LoadContext
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.refiners.redepth_anything.captioners import captioners
from redepth.refiners.redepth_anything.captioners.image_to_text import Captioner, load_captioner
from redepth.refiners.redepth_anything.compiling import compile_prior
from redepth.refiners.redepth_anything.decoders import arrange
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior, load_prior
from redepth.refiners.redepth_anything.draws import DrawShape, StepDraws, draw_block
from redepth.refiners.redepth_anything.members import FinishedMember, MemberGroup
from redepth.refiners.redepth_anything.step import RelightTarget, StepLoss
from redepth.refiners.refiner import RefinementInput
from redepth.types import ByteImage, Members, ModelCard

# Draws are made for so many steps at once, and so often the host asks the device whether a member
# still runs, which waits for it: half-way through a block, so that what follows is drawn already.
# More would waste steps of a group that has stopped, fewer would wait more often. It shows in no
# byte.
STEPS_AHEAD = 16


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
        self._loss = StepLoss(settings, estimator.rendering, estimator.kind, prior)
        chosen = settings.batch_decoders
        self._batch_decoders = device.type == "cuda" if chosen is None else chosen

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
        target = self.judged_image(scene)
        numbers = range(self._settings.num_members)
        size = self._settings.members_per_batch
        groups = [numbers[first : first + size] for first in range(0, len(numbers), size)]
        finished = [m for group in groups for m in self._optimise(scene, target, group)]
        return _collect(finished, self._settings)

    def judged_image(self, scene: RefinementInput) -> RelightTarget:
        """Make, once an image, what every step of every member looks at."""
        dtype = _tokens(scene).patch_tokens[0].dtype
        rgb = torch.from_numpy(scene.rgb_hw3).to(self._device, dtype) / 255.0
        linear_13hw = to_linear(rgb, self._settings.gamma).permute(2, 0, 1).unsqueeze(0)
        return RelightTarget(linear_13hw.contiguous(), self._prior.embed([scene.caption, ""]))

    def _optimise(
        self, scene: RefinementInput, target: RelightTarget, numbers: Sequence[int]
    ) -> list[FinishedMember]:
        """Run all steps of one group of members together; return them, stopped ones included."""
        group = self._new_group(numbers, _tokens(scene))
        for step, draws in enumerate(self._draws(scene.image_id, group)):
            maps = group.decode()
            looked = group.look(maps, step)
            asked = looked or step % STEPS_AHEAD == STEPS_AHEAD // 2
            if asked and not group.progress.any_runs():
                break
            group.advance(self._loss(maps, group.scale_offsets_m, draws, target), step)
        return group.finish()

    def _new_group(self, numbers: Sequence[int], tokens: TokenMaps) -> MemberGroup:
        """Start members from the untouched tokens and checkpoint."""
        decoders = [self._estimator.new_decoder() for _ in numbers]
        arranged = arrange(decoders, self._batch_decoders)
        return MemberGroup(numbers, tokens, arranged, self._settings)

    def _draws(self, image_id: str, group: MemberGroup) -> Iterator[StepDraws]:
        """Yield the draws of each step, drawn in blocks."""
        steps = range(self._settings.num_steps)
        for first in range(0, len(steps), STEPS_AHEAD):
            block = steps[first : first + STEPS_AHEAD]
            generators = [
                [generator(self._seed, image_id, number, step) for number in group.numbers]
                for step in block
            ]
            drawn = draw_block(
                generators, self._settings, self._draw_shape, self._device, group.dtype
            )
            yield from (drawn.step(index) for index in range(len(block)))


def load_redepth_anything(
    settings: ReDepthAnything, context: LoadContext
) -> ReDepthAnythingRefiner:
    """Load the prior, and the captioner if the recipe names one.

    Raises:
        ConfigError: weights that cannot be had, or are not what the presets stand for; torch cannot
            compile here, and the recipe says that it should.
    """
    prior = load_prior(settings.prior, context.compute, context.device)
    if settings.compile:
        compile_prior(prior, settings, context.device)
    captioner = None
    if settings.caption.captioner is not None:
        part, weights = captioners[settings.caption.captioner], settings.caption.weights
        captioner = load_captioner(part, weights, context.compute, context.device)
    # The part's check has seen that the coarse model states its rendering.
    estimator = cast("TokenDepthEstimator", context.estimator)
    return ReDepthAnythingRefiner(
        settings, context.seed, estimator, prior, captioner, context.device
    )


def _tokens(scene: RefinementInput) -> TokenMaps:
    tokens = scene.coarse.features
    if not isinstance(tokens, TokenMaps):
        raise TypeError("Re-Depth Anything needs an estimator that exposes its token maps")
    return tokens


def _collect(finished: Sequence[FinishedMember], settings: ReDepthAnything) -> Members:
    """Gather the maps of the members that came through."""
    stopped = tuple(m.stopped for m in finished if m.stopped is not None)
    through = [member for member in finished if member.stopped is None]
    if not through:
        raise RefinementFailed(f"no member came through: {'; '.join(stopped)}")
    steps = [settings.num_steps if m.settled_after is None else m.settled_after for m in through]
    rule, ended = settings.early_stop, None
    if rule is not None and max(steps) < settings.num_steps:
        ended = (
            f"in {rule.every} steps the maps moved less than {rule.slowed_to:g} of the most before"
        )
    return Members(
        np.stack([member.map_hw for member in through]),
        stopped,
        tuple(member.scale_offset for member in through),
        num_steps=max(steps),
        steps_ended=ended,
    )
