"""The small pyramid as a coarse model: relative depth of photographs, about 192 px."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from redepth.coarse.batches import EstimateOutcome, only
from redepth.coarse.part import Coarse, CoarseModel
from redepth.coarse.pictures import split_maps, stack_pictures
from redepth.coarse.pyramid.model import (
    CONFIG_FILE,
    MULTIPLE_PX,
    PyramidForDepthEstimation,
    read_pyramid,
)
from redepth.geometry.sizes import input_size
from redepth.types import ByteImage, CoarseDepth, DepthKind, ModelCard
from redepth.weights import (
    reading,
    resolve_weights,
    seeds_are_for_mini,
    variant_of,
    weight_files,
    weight_patterns,
)


class Pyramid:
    """A pyramid's weights: a `DepthEstimator`. Runs in float32, weights frozen.

    Its map is the mean of the picture's and of that of the mirrored picture, mirrored back.
    """

    def __init__(
        self,
        model: PyramidForDepthEstimation,
        card: ModelCard,
        kind: DepthKind,
        size_px: int,
        device: torch.device,
    ) -> None:
        self.card = card
        self.kind = kind
        self._size_px = size_px
        self._device = device
        model = model.to(device=device, dtype=torch.float32).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._model = model.eval().requires_grad_(False)

    def processing_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Return (height, width): aspect kept, multiples of 16, neither above size_px."""
        new_width_px, new_height_px = input_size(width_px, height_px, self._size_px, MULTIPLE_PX)
        return new_height_px, new_width_px

    def estimate(self, rgb_hw3: ByteImage, focal_px: float | None = None) -> CoarseDepth:
        """Return the coarse map, float32 [H, W] >= 0.

        Args:
            rgb_hw3: uint8 [H, W, 3], both sides multiples of 16.
            focal_px: is ignored.

        Raises:
            ValueError: a side is no multiple of 16.
        """
        return only(self.estimate_batch([rgb_hw3], [focal_px]))

    @torch.inference_mode()
    def estimate_batch(
        self, rgbs_hw3: Sequence[ByteImage], focals_px: Sequence[float | None]
    ) -> list[EstimateOutcome]:
        """Return what `estimate` would of each picture; see `BatchEstimator`.

        Raises:
            ValueError: a side is no multiple of 16.
        """
        height_px, width_px, _ = rgbs_hw3[0].shape
        if height_px % MULTIPLE_PX or width_px % MULTIPLE_PX:
            raise ValueError(
                f"expected sides that are multiples of {MULTIPLE_PX} (see processing_size), "
                f"got {height_px} x {width_px}"
            )
        shown = stack_pictures(rgbs_hw3, self._device)
        maps, mirrored = self._model(torch.cat((shown, shown.flip(-1)))).chunk(2)
        maps_bhw = (maps + mirrored.flip(-1)) / 2
        return [CoarseDepth(map_hw, self.kind) for map_hw in split_maps(maps_bhw)]


def load_pyramid(settings: Coarse, preset: CoarseModel, device: torch.device) -> Pyramid:
    """Load a pyramid from a folder or the package.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are no pyramid's.
    """
    if settings.weights.seed is not None:
        raise seeds_are_for_mini(settings.preset)
    variant = variant_of(settings.weights, preset.weights)
    patterns = (CONFIG_FILE, *weight_patterns("model", variant))
    folder = resolve_weights(settings.weights, preset.weights, patterns)
    (weights,) = weight_files(folder, "model", variant)
    with reading("a pyramid", folder.path):
        model = read_pyramid(folder.path, weights)
    card = folder.card("coarse", [weights])
    return Pyramid(model, card, preset.kind, settings.size_px, device)
