"""How a student does while it is trained: figures and a picture of what is kept out."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from redepth.refiners.latents.normalisation import minmax
from redepth.refiners.sharpdepth.gating import Gating
from redepth.refiners.sharpdepth.pipeline import SharpDepthPipeline
from redepth.training.betterdepth.validation import FIGURES_NAME
from redepth.training.engine.run import Check, Run
from redepth.training.examples.alignment import align
from redepth.training.examples.metric_scenes import MetricBatch
from redepth.training.sharpdepth.settings import SharpDepthTraining

_DELTA1 = 1.25
_AGREEMENT = 0.5


def sharpening_check(
    run: Run[SharpDepthTraining], pipeline: SharpDepthPipeline, gating: Gating, batch: MetricBatch
) -> Check:
    """Return what sharpens examples with the weights as they are after a step.

    It writes a line of `validation.jsonl` (share of pixels within 1.25 of `batch.depth_bhw`, of the
    metric and of the sharpened maps, and the share of pixels that agree) and
    validation-<step>.png: picture, metric map, first pass, sharpened map, depth.
    """
    run.validation.mkdir(parents=True, exist_ok=True)

    def check(step: int) -> None:
        seeds = range(run.settings.seed, run.settings.seed + len(batch.image_b3hw))
        found = [_sharpened(pipeline, gating, batch, i, seed) for i, seed in enumerate(seeds)]
        first = torch.stack([maps.first_hw for maps in found])
        sharp = torch.stack([maps.sharp_hw for maps in found])
        line = {
            "step": step,
            "metric": _delta1(batch.metric_bhw, batch.depth_bhw),
            "sharpened": _delta1(sharp, batch.depth_bhw),
            "agreeing_share": float(np.mean([maps.agreeing_share for maps in found])),
        }
        with (run.validation / FIGURES_NAME).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        picture = _picture(batch, (batch.metric_bhw, first, sharp, batch.depth_bhw))
        Image.fromarray(picture).save(run.validation / f"validation-{step:06d}.png")

    return check


@dataclass(frozen=True, slots=True, eq=False)
class _Maps:
    """First pass and sharpened map in metres, and the share of pixels that agrees."""

    first_hw: Tensor
    sharp_hw: Tensor
    agreeing_share: float


@torch.no_grad()
def _sharpened(
    pipeline: SharpDepthPipeline, gating: Gating, batch: MetricBatch, number: int, seed: int
) -> _Maps:
    metric_1hw = batch.metric_bhw[number : number + 1]
    normalisation = minmax(metric_1hw)
    image = batch.image_b3hw[number : number + 1] * 2.0 - 1.0
    encoded = pipeline.encode_normalised(image, normalisation.normalise(metric_1hw))
    shape = pipeline.latent_shape(*metric_1hw.shape[-2:])
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((2, 1, *shape), generator=generator).to(metric_1hw.device)
    found = pipeline.sharpen(encoded, noise, gating)
    agreeing = found.gate_bhw < _AGREEMENT
    sharp_1hw, _ = align(found.sharp_bhw, metric_1hw, agreeing)
    return _Maps(
        normalisation.denormalise(found.first_bhw)[0], sharp_1hw[0], float(agreeing.float().mean())
    )


def _delta1(found_bhw: Tensor, true_bhw: Tensor) -> float:
    ratio = torch.maximum(found_bhw / true_bhw, true_bhw / found_bhw)
    return float(((found_bhw > 0) & (ratio < _DELTA1)).float().mean())


def _picture(batch: MetricBatch, maps: tuple[Tensor, ...]) -> np.ndarray:
    """Draw a row an example, uint8 [rows, columns, 3]; near is light, in the depth's range."""
    rows = []
    for number, image in enumerate(batch.image_b3hw):
        low, high = batch.depth_bhw[number].aminmax()
        width = (high - low).clamp(min=1e-6)
        grey = [(1.0 - (m[number] - low) / width).clamp(0, 1).expand(3, -1, -1) for m in maps]
        rows.append(torch.cat((image, *grey), dim=2))
    wide = torch.cat(rows, dim=1).permute(1, 2, 0)
    pixels: np.ndarray = (wide * 255.0).round().byte().cpu().numpy()
    return pixels
