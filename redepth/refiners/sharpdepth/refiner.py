"""SharpDepth: metric depth with the edges of a one-step diffusion model.

The model draws a sharp map from the picture alone; where it agrees with the metric map, the metric
one is kept as the start of a second pass, elsewhere the start is noise. The second map is brought
back to metres by scale and shift over the pixels that agree: labels stay metric.

Source: SharpDepth (Pham et al. 2024). What differs from the release where a setting asks for it:
`gate_normaliser`, `gated_noise` (docs/sharpdepth.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from redepth.coarse.batches import only
from redepth.errors import RefinementFailed
from redepth.refiners.batches import RefineOutcome
from redepth.refiners.draws import generator
from redepth.refiners.part import LoadContext
from redepth.refiners.refiner import RefinementInput
from redepth.refiners.sharpdepth import PRESETS, SharpDepth
from redepth.refiners.sharpdepth.gating import GatedNoise, GateNormaliser, Gating
from redepth.refiners.sharpdepth.metres import MetricMember
from redepth.refiners.sharpdepth.pipeline import (
    NUM_DRAWS,
    SharpDepthPipeline,
    Sharpened,
    load_sharpdepth,
)
from redepth.types import ByteImage, Members, MetricFit, ModelCard


class SharpDepthRefiner:
    """Sharpen an image, or each of a batch, with a model that is loaded once."""

    def __init__(
        self,
        settings: SharpDepth,
        seed: int,
        pipeline: SharpDepthPipeline,
        card: ModelCard,
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._pipeline = pipeline
        self._card = card
        self._gating = Gating(
            normaliser=GateNormaliser(settings.gate_normaliser),
            quantile=settings.gate_quantile,
            noise=GatedNoise(settings.gated_noise),
        )

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """The refiner's own model."""
        return (self._card,)

    def caption(self, rgb_hw3: ByteImage, own_caption: str | None) -> str | None:
        """Return None: the prompt is empty."""
        return None

    def refine(self, scene: RefinementInput) -> Members:
        """Draw every member and return those that are finite and rest on enough pixels.

        Picture and metric map are encoded once. Members share a batch in groups of
        `members_per_batch`.

        Returns:
            Members, float32 [E, H, W], metres. `refused` says why, if no member rests on enough
            pixels; the metric map is then the only member.

        Raises:
            RefinementFailed: no member is finite.
        """
        return only(self.refine_batch([scene]))

    @torch.inference_mode()
    def refine_batch(self, scenes: Sequence[RefinementInput]) -> list[RefineOutcome]:
        """Return what `refine` would of each image; see `BatchRefiner`.

        The UNet sees `members_per_batch` members of every image at a time.
        """
        numbers = range(self._settings.num_members)
        members = self._pipeline.sharpen_images(
            [scene.rgb_hw3 for scene in scenes],
            [scene.coarse.map_hw for scene in scenes],
            torch.stack([self._draw(scene, numbers) for scene in scenes]),
            members_per_batch=self._settings.members_per_batch,
            gating=self._gating,
            agreement=self._settings.agreement,
        )
        return [self._outcome(*one) for one in zip(scenes, members, strict=True)]

    def _outcome(self, scene: RefinementInput, members: tuple[MetricMember, ...]) -> RefineOutcome:
        """Keep the members of an image that are finite and rest on enough pixels."""
        finite = [m for m in members if np.isfinite(m.map_hw).all()]
        if not finite:
            return RefinementFailed("no member came through: none of their maps is finite")
        kept = [m for m in finite if self._rests_on_enough(m)]
        stopped = []
        if len(finite) < len(members):
            stopped.append(f"{len(members) - len(finite)} members: not finite")
        if not kept:
            return Members(
                scene.coarse.map_hw[None].copy(),
                tuple(stopped),
                metric=_mean_fit(finite),
                refused=self._refusal(finite),
            )
        if len(kept) < len(finite):
            stopped.append(f"{len(finite) - len(kept)} members: {self._refusal(finite)}")
        maps_ehw = np.stack([member.map_hw for member in kept])
        return Members(maps_ehw, tuple(stopped), metric=_mean_fit(kept))

    def sharpen(self, scene: RefinementInput, numbers: range) -> Sharpened:
        """Run both passes for some members, in one batch; nothing is brought back to metres."""
        encoded = self._pipeline.encode([scene.rgb_hw3], [scene.coarse.map_hw])
        noise = self._draw(scene, numbers).to(self._pipeline.unet.device)
        return self._pipeline.sharpen(encoded.repeated(len(numbers)), noise, self._gating)

    def _draw(self, scene: RefinementInput, numbers: range) -> Tensor:
        """Draw on the CPU, [2, B, C, h, w]: a function of (seed, image id, member, pass)."""
        shape = self._pipeline.latent_shape(*scene.coarse.map_hw.shape)
        draws = [
            torch.stack(
                [
                    torch.randn(shape, generator=generator(self._seed, scene.image_id, n, turn))
                    for n in numbers
                ]
            )
            for turn in range(NUM_DRAWS)
        ]
        return torch.stack(draws)

    def _rests_on_enough(self, member: MetricMember) -> bool:
        return member.agreeing_share >= self._settings.min_agreeing_share and member.fit.scale > 0

    def _refusal(self, members: list[MetricMember]) -> str:
        lowest = min(member.agreeing_share for member in members)
        if lowest >= self._settings.min_agreeing_share:
            return "sharp and metric map run against each other where they agree"
        return (
            f"sharp and metric map agree on {lowest:.1%} of the pixels, below "
            f"{self._settings.min_agreeing_share:.0%}: too few to take scale and shift from"
        )


def load_sharpdepth_refiner(settings: SharpDepth, context: LoadContext) -> SharpDepthRefiner:
    """Load a one-step depth model. Raises ConfigError as `load_sharpdepth`."""
    model = settings.model
    pipeline, card = load_sharpdepth(
        model.weights, PRESETS[model.preset], context.compute, context.device
    )
    return SharpDepthRefiner(settings, context.seed, pipeline, card)


def _mean_fit(members: list[MetricMember]) -> MetricFit:
    return MetricFit(
        float(np.mean([member.fit.scale for member in members])),
        float(np.mean([member.fit.shift for member in members])),
        float(np.mean([member.agreeing_share for member in members])),
    )
