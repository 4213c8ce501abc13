"""Carry out a recipe's probes: further looks at a photograph, kept as maps beside its coarse map.

Of each image alone, in forwards of the recipe's batch size: its neighbours do not show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from redepth.coarse.batches import EstimateOutcome, estimate_all
from redepth.coarse.estimator import DepthEstimator, load_estimator
from redepth.coarse.part import Coarse
from redepth.confidence.cues import positive_range
from redepth.confidence.probes import (
    MIRROR_CHANGE,
    MODEL_CHANGE,
    SIZE_CHANGE,
    TEXTURE,
    Probes,
)
from redepth.geometry.alignment import fit_affine
from redepth.quantities import Quantity
from redepth.types import ByteImage, CoarseDepth, FloatMap, ModelCard

LEAST_TEXTURE = 0.003


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Pictures of one size and the coarse maps that were made of them.

    Attributes:
        rgbs_hw3: uint8 [H, W, 3] each, at the processing size.
        focals_px: in pixels of the pictures' width; None where it is not known.
        coarse: of each picture.
        batch_size: pictures that share a forward.
    """

    rgbs_hw3: Sequence[ByteImage]
    focals_px: Sequence[float | None]
    coarse: Sequence[CoarseDepth]
    batch_size: int


@dataclass(frozen=True, slots=True, eq=False)
class LoadedProbe:
    """A probe with what it loaded.

    Attributes:
        quantity: of the maps.
        look: returns a map for each picture, float32 [H, W] >= 0, NaN where nothing is known.
        cards: models that it loaded.
    """

    quantity: Quantity
    look: Callable[[Looks], list[FloatMap]]
    cards: tuple[ModelCard, ...] = ()


def load_probes(
    probes: Probes, coarse: Coarse, estimator: DepthEstimator, device: torch.device
) -> tuple[LoadedProbe, ...]:
    """Load what a recipe's probes take.

    Args:
        coarse, estimator: the recipe's coarse model; it is asked of the mirrored picture.

    Raises:
        ConfigError: a further coarse model's weights cannot be had.
    """
    loaders: Mapping[Quantity, Callable[[], LoadedProbe]] = {
        TEXTURE: lambda: LoadedProbe(TEXTURE, _textures),
        MIRROR_CHANGE: lambda: LoadedProbe(
            MIRROR_CHANGE, lambda looks: _mirrored(looks, estimator)
        ),
        SIZE_CHANGE: lambda: _other(SIZE_CHANGE, probes.further(coarse)[0], device),
        MODEL_CHANGE: lambda: _other(MODEL_CHANGE, probes.further(coarse)[-1], device),
    }
    return tuple(loaders[probe.quantity]() for probe in probes.asked())


def probe_all(
    probes: Sequence[LoadedProbe],
    rgbs_hw3: Sequence[ByteImage],
    focals_px: Sequence[float | None],
    outcomes: Sequence[EstimateOutcome],
    batch_size: int,
) -> list[EstimateOutcome]:
    """Put the probes' maps beside every coarse map; what failed stays as it is."""
    there = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, CoarseDepth)]
    coarse = [outcome for outcome in outcomes if isinstance(outcome, CoarseDepth)]
    found = list(outcomes)
    if not probes or not there:
        return found
    looks = Looks([rgbs_hw3[n] for n in there], [focals_px[n] for n in there], coarse, batch_size)
    columns = [probe.look(looks) for probe in probes]
    for n, own, *maps in zip(there, coarse, *columns, strict=True):
        named = zip((probe.quantity for probe in probes), maps, strict=True)
        found[n] = replace(own, extra={**own.extra, **dict(named)})
    return found


def change_map(other_hw: FloatMap, coarse: CoarseDepth) -> FloatMap:
    """Return |aligned other - coarse| over the coarse range; of metric maps without alignment.

    Args:
        other_hw: float32 [H, W] of the coarse map's kind and size.

    Returns:
        float32 [H, W]; NaN where one of the two is not finite.
    """
    coarse_hw = coarse.map_hw.astype(np.float64)
    known_hw = np.isfinite(other_hw) & np.isfinite(coarse_hw)
    if not known_hw.any():
        return np.full(coarse_hw.shape, np.nan, dtype=np.float32)
    is_free = not coarse.kind.is_metric
    fit = fit_affine(other_hw, coarse_hw, known_hw) if is_free else None
    aligned_hw = other_hw.astype(np.float64) if fit is None else fit.apply(other_hw)
    with np.errstate(invalid="ignore"):
        change_hw = np.abs(aligned_hw - coarse_hw) / positive_range(coarse_hw)
    return np.asarray(np.where(known_hw, change_hw, np.nan), dtype=np.float32)


def texture_map(rgb_hw3: ByteImage) -> FloatMap:
    """Return 0.003 plus the gradient a pixel of the mean of the colours, white is 1; [H, W]."""
    down_hw, right_hw = np.gradient(rgb_hw3.mean(axis=2, dtype=np.float64) / 255)
    return np.asarray(np.hypot(down_hw, right_hw) + LEAST_TEXTURE, dtype=np.float32)


def _textures(looks: Looks) -> list[FloatMap]:
    return [texture_map(rgb_hw3) for rgb_hw3 in looks.rgbs_hw3]


def _mirrored(looks: Looks, estimator: DepthEstimator) -> list[FloatMap]:
    rgbs_hw3 = [np.ascontiguousarray(rgb_hw3[:, ::-1]) for rgb_hw3 in looks.rgbs_hw3]
    found = estimate_all(estimator, rgbs_hw3, looks.focals_px, looks.batch_size)
    return _changes(looks, [None if m is None else m[:, ::-1] for m in map(_map_of, found)])


def _other(quantity: Quantity, settings: Coarse, device: torch.device) -> LoadedProbe:
    """Ask another coarse model, or the same at another size."""
    estimator = load_estimator(settings, device)

    def look(looks: Looks) -> list[FloatMap]:
        height, width = looks.rgbs_hw3[0].shape[:2]
        size_hw = estimator.processing_size(height, width)
        rgbs_hw3 = [_resized_picture(rgb_hw3, size_hw) for rgb_hw3 in looks.rgbs_hw3]
        scale = size_hw[1] / width
        focals_px = [None if focal is None else focal * scale for focal in looks.focals_px]
        found = estimate_all(estimator, rgbs_hw3, focals_px, looks.batch_size)
        maps = [
            None if m is None else _resized_map(m, (height, width)) for m in map(_map_of, found)
        ]
        return _changes(looks, maps)

    return LoadedProbe(quantity, look, (replace(estimator.card, role="probe"),))


def _map_of(outcome: EstimateOutcome) -> FloatMap | None:
    return outcome.map_hw if isinstance(outcome, CoarseDepth) else None


def _changes(looks: Looks, maps: Sequence[FloatMap | None]) -> list[FloatMap]:
    return [
        np.full(own.map_hw.shape, np.nan, dtype=np.float32)
        if map_hw is None
        else change_map(map_hw, own)
        for map_hw, own in zip(maps, looks.coarse, strict=True)
    ]


def _resized_picture(rgb_hw3: ByteImage, size_hw: tuple[int, int]) -> ByteImage:
    if rgb_hw3.shape[:2] == size_hw:
        return rgb_hw3
    image = Image.fromarray(rgb_hw3).resize(size_hw[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8)


def _resized_map(map_hw: FloatMap, size_hw: tuple[int, int]) -> FloatMap:
    image = Image.fromarray(np.ascontiguousarray(map_hw, dtype=np.float32))
    return np.asarray(image.resize(size_hw[::-1], Image.Resampling.BILINEAR), dtype=np.float32)
