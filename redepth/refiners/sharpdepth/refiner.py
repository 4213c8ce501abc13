"""SharpDepth: metric depth with the edges of a one-step diffusion model.

The model draws a sharp map from the picture alone; where it agrees with the metric map, the metric
one is kept as the start of a second pass, elsewhere the start is noise. The second map is brought
back to metres by scale and shift over the pixels that agree: labels stay metric.

Source: SharpDepth (Pham et al. 2024). What differs from the release where a setting asks for it:
`gate_normaliser`, `gated_noise` (docs/sharpdepth.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from redepth.errors import RefinementFailed
from redepth.geometry.alignment import Affine, fit_affine
from redepth.refiners.draws import generator
from redepth.refiners.latents.frame import whole_frame_of
from redepth.refiners.latents.gating import GatedNoise, GateNormaliser, Gating
from redepth.refiners.latents.loading import load_sharpener
from redepth.refiners.latents.sharpening import EncodedMetric, MetricSharpener, Sharpened
from redepth.refiners.part import LoadContext
from redepth.refiners.refiner import Scene
from redepth.refiners.sharpdepth import PRESETS, SharpDepth
from redepth.types import ByteImage, FloatMap, Members, MetricFit, ModelCard

_NUM_DRAWS = 2  # of a member: the first pass's noise and the gate's


@dataclass(frozen=True, slots=True, eq=False)
class MetricMember:
    """One member in metres, and what its scale rests on.

    Attributes:
        map_hw: float32 [H, W], metres.
        fit: from the frame [-1, 1] to metres.
        agreeing_share: of the pixels, in [0, 1].
    """

    map_hw: FloatMap
    fit: Affine
    agreeing_share: float


class SharpDepthRefiner:
    """Sharpen one image at a time, with a model that is loaded once."""

    def __init__(
        self,
        settings: SharpDepth,
        seed: int,
        sharpener: MetricSharpener,
        card: ModelCard,
        device: torch.device,
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._sharpener = sharpener
        self._card = card
        self._device = device

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """The refiner's own model."""
        return (self._card,)

    def caption(self, rgb_hw3: ByteImage, own_caption: str | None) -> str | None:
        """Return None: the prompt is empty."""
        return None

    def refine(self, scene: Scene) -> Members:
        """Draw every member and return those that are finite and rest on enough pixels.

        Picture and metric map are encoded once. Members share a batch in groups of
        `members_per_batch`; images never share one.

        Returns:
            Members, float32 [E, H, W], metres. `refused` says why, if no member rests on enough
            pixels; the metric map is then the only member.

        Raises:
            RefinementFailed: no member is finite.
        """
        members = self._draw_members(scene)
        finite = [m for m in members if np.isfinite(m.map_hw).all()]
        if not finite:
            raise RefinementFailed("no member came through: none of their maps is finite")
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

    def sharpen(self, scene: Scene, numbers: range) -> Sharpened:
        """Run both passes for some members, in one batch; nothing is brought back to metres."""
        return self._sharpener.sharpen(self._encode(scene), self._draw(scene, numbers))

    def _encode(self, scene: Scene) -> EncodedMetric:
        metric_1hw = torch.from_numpy(scene.coarse.map_hw).to(self._device)[None]
        image = torch.from_numpy(scene.rgb_hw3).to(self._device, torch.float32) / 127.5 - 1.0
        return self._sharpener.encode(
            image.permute(2, 0, 1).unsqueeze(0).contiguous(),
            whole_frame_of(metric_1hw).into(metric_1hw),
        )

    def _draw_members(self, scene: Scene) -> list[MetricMember]:
        encoded = self._encode(scene)
        members = []
        size = self._settings.members_per_batch
        for first in range(0, self._settings.num_members, size):
            numbers = range(first, min(first + size, self._settings.num_members))
            found = self._sharpener.sharpen(encoded, self._draw(scene, numbers))
            maps = found.sharp_bhw.cpu().numpy(), found.gate_bhw.cpu().numpy()
            members += [
                back_to_metres(sharp_hw, gate_hw, scene.coarse.map_hw, self._settings.agreement)
                for sharp_hw, gate_hw in zip(*maps, strict=True)
            ]
        return members

    def _draw(self, scene: Scene, numbers: range) -> Tensor:
        """Draw on the CPU, [2, B, C, h, w]: a function of (seed, image id, member, pass)."""
        shape = self._sharpener.latent_shape(*scene.coarse.map_hw.shape)
        draws = [
            torch.stack(
                [
                    torch.randn(shape, generator=generator(self._seed, scene.image_id, n, turn))
                    for n in numbers
                ]
            )
            for turn in range(_NUM_DRAWS)
        ]
        return torch.stack(draws).to(self._device)

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
    """Load a one-step depth model. Raises ConfigError as `load_sharpener`."""
    model = settings.model
    gating = Gating(
        GateNormaliser(settings.gate_normaliser),
        settings.gate_quantile,
        GatedNoise(settings.gated_noise),
    )
    sharpener, card = load_sharpener(
        model.weights, PRESETS[model.preset], gating, context.compute, context.device
    )
    return SharpDepthRefiner(settings, context.seed, sharpener, card, context.device)


def back_to_metres(
    sharp_hw: FloatMap, gate_hw: FloatMap, metric_hw: FloatMap, agreement: float
) -> MetricMember:
    """Bring a map in the frame to metres by least squares over the pixels that agree.

    Args:
        sharp_hw: float32 [H, W], in the frame.
        gate_hw: float32 [H, W] in [0, 1], how much the first pass differs from the metric map.
        metric_hw: float32 [H, W], metres.
        agreement: pixels with a smaller gate count.

    Returns:
        The member; its map is the metric one, with a scale of 0, where no pixel agrees.

    Source: SharpDepth, alignment to the metric map where the difference is below 0.5.
    """
    agreeing_hw = gate_hw < agreement
    share = float(agreeing_hw.mean())
    if not share or not np.isfinite(sharp_hw).all():
        return MetricMember(np.where(np.isfinite(sharp_hw), metric_hw, np.nan).astype(np.float32),
                            Affine(0.0, 0.0), share)  # fmt: skip
    fit = fit_affine(sharp_hw, metric_hw, agreeing_hw)
    return MetricMember(fit.apply(sharp_hw).astype(np.float32), fit, share)


def _mean_fit(members: list[MetricMember]) -> MetricFit:
    return MetricFit(
        float(np.mean([member.fit.scale for member in members])),
        float(np.mean([member.fit.shift for member in members])),
        float(np.mean([member.agreeing_share for member in members])),
    )
