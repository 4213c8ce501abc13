"""How a refiner does while it is trained: figures and a picture of examples that are kept out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler
from PIL import Image
from torch import Tensor

from redepth.refiners.betterdepth.pipeline import BetterDepthPipeline, target_config
from redepth.refiners.betterdepth.target import Target
from redepth.refiners.latents.normalisation import quantile_range
from redepth.training.examples.alignment import align
from redepth.training.examples.scene_examples import ExampleBatch
from redepth.training.refiner_parts import RefinerParts

_NUM_STEPS = 2
FIGURES_NAME = "validation.jsonl"


def new_validation(
    parts: RefinerParts, batch: ExampleBatch, target: Target, seed: int, folder: Path
) -> Callable[[int], None]:
    """Return what measures the weights as they are after a step, in the cheap mode (2 x 1).

    It writes a line of `validation.jsonl` (root mean square error over the deviation of the truth,
    after least-squares alignment, of coarse and of refined maps) and validation-<step>.png:
    picture, coarse map, refined map, truth. It draws from a generator of its own.
    """
    scheduler = DDIMScheduler.from_config(parts.scheduler.config)
    pipeline = BetterDepthPipeline(
        parts.vae,
        parts.unet,
        parts.text_encoder,
        parts.tokenizer,
        scheduler,
        **target_config(target),
    )
    folder.mkdir(parents=True, exist_ok=True)

    def measure(step: int) -> None:
        refined = torch.cat(
            [_refined(pipeline, batch, i, seed) for i in range(len(batch.truth_bhw))]
        )
        maps = [align(m, batch.truth_bhw, batch.valid_bhw)[0] for m in (batch.network_bhw, refined)]
        coarse_error, refined_error = (_error(m, batch) for m in maps)
        line = {"step": step, "coarse": coarse_error, "refined": refined_error}
        with (folder / FIGURES_NAME).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        picture = _picture(batch, maps)
        Image.fromarray(picture).save(folder / f"validation-{step:06d}.png")

    return measure


def _refined(pipeline: BetterDepthPipeline, batch: ExampleBatch, number: int, seed: int) -> Tensor:
    coarse_1hw = batch.network_bhw[number : number + 1]
    normalisation = quantile_range(coarse_1hw)
    image = batch.image_b3hw[number : number + 1] * 2.0 - 1.0
    conditions = pipeline.condition(image, normalisation.normalise(coarse_1hw))
    shape = pipeline.latent_shape(*coarse_1hw.shape[-2:])
    generator = torch.Generator().manual_seed(seed + number)
    noise = torch.randn((1, *shape), generator=generator).to(coarse_1hw.device)
    return normalisation.denormalise(pipeline.denoise(conditions, noise, _NUM_STEPS))


def _error(map_bhw: Tensor, batch: ExampleBatch) -> float:
    """Return the mean over examples of the error's root mean square over the truth's deviation."""
    ratios = []
    for found, truth, valid in zip(map_bhw, batch.truth_bhw, batch.valid_bhw, strict=True):
        if valid.sum() > 1:
            error = (found - truth)[valid].square().mean().sqrt()
            ratios.append(float(error / truth[valid].std().clamp(min=1e-6)))
    return sum(ratios) / max(len(ratios), 1)


def _picture(batch: ExampleBatch, maps: list[Tensor]) -> np.ndarray:
    """Draw a row an example, uint8 [rows, columns, 3]; maps in the truth's range, near is light."""
    rows = []
    for number, image in enumerate(batch.image_b3hw):
        valid, truth = batch.valid_bhw[number], batch.truth_bhw[number]
        known = truth[valid] if valid.any() else truth.flatten()
        low, high = known.min(), known.max().clamp(min=float(known.min()) + 1e-6)
        shown = [m[number] for m in maps] + [truth.masked_fill(~valid, float(low))]
        grey = [((m - low) / (high - low)).clamp(0, 1).expand(3, -1, -1) for m in shown]
        rows.append(torch.cat((image, *grey), dim=2))
    wide = torch.cat(rows, dim=1).permute(1, 2, 0)
    pixels: np.ndarray = (wide * 255.0).round().byte().cpu().numpy()
    return pixels
