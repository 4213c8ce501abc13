"""Marigold through diffusers: a diffusion model as coarse model, or as a baseline of its own.

Source: Marigold, https://arxiv.org/abs/2312.02145.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import MarigoldDepthPipeline

from redepth.coarse.batches import EstimateOutcome, only
from redepth.coarse.part import Coarse, CoarseModel
from redepth.errors import ConfigError
from redepth.geometry.sizes import UpperBound
from redepth.types import ByteImage, CoarseDepth, DepthKind, ModelCard
from redepth.weights import (
    DIFFUSERS_STEM,
    TOKENIZER_FILES,
    reading,
    resolve_weights,
    seeds_are_for_mini,
    variant_of,
    weight_files,
    weight_patterns,
)

_STEMS = {"vae": DIFFUSERS_STEM, "unet": DIFFUSERS_STEM, "text_encoder": "model"}
_SEED = 0


class Marigold:
    """A Marigold checkpoint for depth: a `DepthEstimator` of one member, in float32.

    Its steps are the checkpoint's default. Its noise comes from one fixed seed, so that a map is a
    function of the picture alone.
    """

    def __init__(
        self, pipeline: MarigoldDepthPipeline, card: ModelCard, kind: DepthKind, size_px: int
    ) -> None:
        self.card = card
        self.kind = kind
        self.processing_size = UpperBound(size_px, int(pipeline.vae_scale_factor))
        self._pipeline = pipeline

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        """Return the coarse map, float32 [H, W] in [0, 1], larger is farther.

        Args:
            rgb_hw3: uint8 [H, W, 3].
            focal_px: is ignored.
        """
        return only(self.estimate_batch([rgb_hw3], [focal_px]))

    @torch.inference_mode()
    def estimate_batch(
        self, rgbs_hw3: Sequence[ByteImage], focals_px: Sequence[float | None]
    ) -> list[EstimateOutcome]:
        """Return what `estimate` would of each picture; see `BatchEstimator`.

        Every picture has a generator of its own with the same seed, so all start from one noise.
        """
        answer = self._pipeline(
            np.stack(rgbs_hw3).astype(np.float32) / 255.0,
            ensemble_size=1,
            batch_size=len(rgbs_hw3),
            processing_resolution=0,  # the picture's own
            generator=[torch.Generator().manual_seed(_SEED) for _ in rgbs_hw3],
        )
        maps_bhw = answer.prediction[..., 0]
        return [CoarseDepth(np.array(map_hw, np.float32), self.kind) for map_hw in maps_bhw]


def load_marigold(settings: Coarse, preset: CoarseModel, device: torch.device) -> Marigold:
    """Load a Marigold from the hub or a folder.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are no Marigold's for depth.
    """
    if settings.weights.seed is not None:
        raise seeds_are_for_mini(settings.preset)
    variant = variant_of(settings.weights, preset.weights)
    folder = resolve_weights(settings.weights, preset.weights, _patterns(variant))
    files = [
        file for part, stem in _STEMS.items() for file in weight_files(folder, stem, variant, part)
    ]
    with reading("Marigold", folder.path):
        pipeline = MarigoldDepthPipeline.from_pretrained(
            folder.path,
            variant=variant,
            torch_dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
        ).to(device)
    pipeline.set_progress_bar_config(disable=True)
    prediction, steps = (
        pipeline.config[name] for name in ("prediction_type", "default_denoising_steps")
    )
    if prediction != "depth" or not steps:
        raise ConfigError(
            f"{folder.source} is no Marigold for affine-invariant depth: prediction_type "
            f"{prediction!r} and default_denoising_steps {steps}, expected 'depth' and a number"
        )
    return Marigold(pipeline, folder.card("coarse", files), preset.kind, settings.size_px)


def _patterns(variant: str | None) -> tuple[str, ...]:
    return (
        "model_index.json",
        *(f"{part}/config.json" for part in _STEMS),
        *(p for part, stem in _STEMS.items() for p in weight_patterns(stem, variant, part)),
        *(f"tokenizer/{name}" for name in TOKENIZER_FILES),
        "scheduler/scheduler_config.json",
    )
