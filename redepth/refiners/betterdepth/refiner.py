"""BetterDepth: a trained diffusion model adds the picture's detail to any model's depth map.

The coarse map is brought to [-1, 1] and encoded beside the picture, and a denoiser that was trained
for it draws a refined map from noise; the members of the ensemble differ by their noise alone.

Source: BetterDepth. What differs: a map whose numbers grow away from the camera is shown negated,
so that near is always large; the result is brought back to the coarse map's unit. What a model's
own settings change is in its folder (docs/betterdepth.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from redepth.coarse.batches import only
from redepth.errors import RefinementFailed
from redepth.refiners.batches import RefineOutcome
from redepth.refiners.betterdepth import PRESETS, BetterDepth
from redepth.refiners.betterdepth.pipeline import BetterDepthPipeline, load_betterdepth
from redepth.refiners.draws import generator
from redepth.refiners.part import LoadContext
from redepth.refiners.refiner import RefinementInput
from redepth.types import ByteImage, Members, ModelCard


class BetterDepthRefiner:
    """Draw an ensemble for an image, or for each of a batch, with a model that is loaded once."""

    def __init__(
        self,
        settings: BetterDepth,
        seed: int,
        pipeline: BetterDepthPipeline,
        card: ModelCard,
    ) -> None:
        self._settings = settings
        self._seed = seed
        self._pipeline = pipeline
        self._card = card

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """The refiner's own model."""
        return (self._card,)

    def caption(self, rgb_hw3: ByteImage, own_caption: str | None) -> str | None:
        """Return None: the prompt is empty."""
        return None

    def refine(self, scene: RefinementInput) -> Members:
        """Draw every member and return those that are finite.

        Picture and coarse map are encoded once. Members share a batch in groups of
        `members_per_batch`.

        Returns:
            Members, float32 [E, H, W], in the coarse map's unit.

        Raises:
            RefinementFailed: no member is finite.
        """
        return only(self.refine_batch([scene]))

    @torch.inference_mode()
    def refine_batch(self, scenes: Sequence[RefinementInput]) -> list[RefineOutcome]:
        """Return what `refine` would of each image; see `BatchRefiner`.

        The denoiser sees `members_per_batch` members of every image at a time.

        Args:
            scenes: with maps of one kind.
        """
        (larger_is_nearer,) = {scene.coarse.kind.grows_towards_camera for scene in scenes}
        members_behw = self._pipeline.refine_images(
            [scene.rgb_hw3 for scene in scenes],
            [scene.coarse.map_hw for scene in scenes],
            torch.stack([self._draw(scene) for scene in scenes]),
            num_inference_steps=self._settings.num_steps,
            members_per_batch=self._settings.members_per_batch,
            larger_is_nearer=larger_is_nearer,
        )
        return [_finite_members(members_ehw) for members_ehw in members_behw]

    def _draw(self, scene: RefinementInput) -> Tensor:
        """Draw every member's noise on the CPU: a function of (seed, image id, member)."""
        shape = self._pipeline.latent_shape(*scene.coarse.map_hw.shape)
        numbers = range(self._settings.num_members)
        generators = [generator(self._seed, scene.image_id, number, 0) for number in numbers]
        return torch.stack([torch.randn(shape, generator=g) for g in generators])


def load_betterdepth_refiner(settings: BetterDepth, context: LoadContext) -> BetterDepthRefiner:
    """Load a trained BetterDepth. Raises ConfigError as `load_betterdepth`."""
    model = settings.model
    pipeline, card = load_betterdepth(
        model.weights, PRESETS[model.preset], context.compute, context.device
    )
    return BetterDepthRefiner(settings, context.seed, pipeline, card)


def _finite_members(maps_ehw: np.ndarray) -> RefineOutcome:
    """Return the members that are finite, as arrays that keep no neighbour's."""
    finite = np.isfinite(maps_ehw).all(axis=(1, 2))
    stopped = tuple(f"member {n}: its map is not finite" for n in np.flatnonzero(~finite))
    if not finite.any():
        return RefinementFailed(f"no member came through: {'; '.join(stopped)}")
    return Members(maps_ehw[finite], stopped)
