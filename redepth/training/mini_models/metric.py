"""Train the mini metric net: z-depth in metres of things before a wall, seen by known cameras.

Nothing in a picture says how large things are but what the families have in common: cameras stand
0.9 to 1.4 m above the floor and see 42 to 56 degrees.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import DepthAnythingForDepthEstimation

from redepth.coarse.depth_anything.mini import build_mini_metric
from redepth.coarse.depth_anything.network import IMAGENET_MEAN, IMAGENET_STD
from redepth.training.draws import step_draws
from redepth.training.engine.loop import Stage
from redepth.training.examples.metric_scenes import MetricScenes, MetricSource
from redepth.training.settings import Optimiser
from redepth.weights import quieten_libraries

STAGE = "metric"
_WEIGHT_STD = 0.02
_SLOPE_WEIGHT = 0.5
_IMAGES_A_CALL = 128
_SMALLEST_M = 1e-3


def new_metric_net(seed: int) -> DepthAnythingForDepthEstimation:
    """Return the mini metric net as training begins."""
    quieten_libraries()
    return build_mini_metric(seed, _WEIGHT_STD)


def metric_stage(
    model: DepthAnythingForDepthEstimation,
    source: MetricSource,
    seed: int,
    optimiser: Optimiser,
) -> Stage:
    """Return the training of the metric net on what `source` draws."""
    device = model.device

    def loss(step: int) -> Tensor:
        draws = step_draws(seed, STAGE, step, device)
        batch = source(optimiser.batch_size, draws)
        found_bhw = model(_normalised(batch.image_b3hw)).predicted_depth
        return metric_loss(found_bhw, batch.depth_bhw)

    return Stage(STAGE, model, loss, optimiser)


def metric_loss(found_bhw: Tensor, true_bhw: Tensor) -> Tensor:
    """Return mean |error of ln z| + 0.5 mean |error of its differences along rows and columns|."""
    error = found_bhw.clamp(min=_SMALLEST_M).log() - true_bhw.log()
    slopes = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + _SLOPE_WEIGHT * slopes


@torch.no_grad()
def estimate_scenes(model: DepthAnythingForDepthEstimation, scenes: MetricScenes) -> MetricScenes:
    """Return the scenes with what the metric net says of them."""
    model = model.eval()
    maps = [
        model(_normalised(rgb.to(model.device).float() / 255.0)).predicted_depth
        for rgb in torch.split(scenes.rgb_n3hw, _IMAGES_A_CALL)
    ]
    return scenes.estimated(torch.cat(maps).to(scenes.depth_nhw.device))


def _normalised(image_b3hw: Tensor) -> Tensor:
    device = image_b3hw.device
    mean, std = (
        torch.tensor(v, device=device).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return (image_b3hw - mean) / std
