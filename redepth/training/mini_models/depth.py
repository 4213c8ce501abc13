"""Train the mini depth net on abstract surfaces, so that faces and coins are new to it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import DepthAnythingForDepthEstimation

from redepth.coarse.depth_anything.mini import build_mini_depth_anything
from redepth.coarse.depth_anything.network import IMAGENET_MEAN, IMAGENET_STD
from redepth.scenes.reliefs import LightRange
from redepth.training.draws import normal, step_generator, uniform
from redepth.training.engine.loop import Stage
from redepth.training.examples.scene_pool import SceneBatch, ScenePool, draw_batch
from redepth.training.settings import Optimiser

STAGE = "depth"
_PLAIN = ("lumps", "gaussians", "saddles", "swells")
SHARES = dict.fromkeys(_PLAIN, 0.14) | {"pebbles": 0.32, "solids": 0.12}
NUM_SCENES = dict.fromkeys(_PLAIN, 2000) | {"pebbles": 4000, "solids": 300}
# Under a light from any side a bump and a hollow look the same, and the net learns to say nothing:
# 1,500 steps explained 2 to 20 % of the variance of depth. Light from above settles which is which.
LIGHT = LightRange(azimuth_deg=(30.0, 150.0), tilt_deg=(15.0, 55.0), specular=(0.0, 0.0))
_WEIGHT_STD = 0.02
_SLOPE_WEIGHT = 2.0


def new_depth_net(seed: int) -> DepthAnythingForDepthEstimation:
    """Return the mini depth net as training begins."""
    return build_mini_depth_anything(seed, _WEIGHT_STD)


def depth_stage(
    model: DepthAnythingForDepthEstimation, pool: ScenePool, seed: int, optimiser: Optimiser
) -> Stage:
    """Return the training of the depth net on a pool, both on one device."""
    loss = _loss(model, pool, seed, optimiser.batch_size)
    return Stage(STAGE, model, loss, optimiser)


def _loss(
    model: DepthAnythingForDepthEstimation, pool: ScenePool, seed: int, batch_size: int
) -> Callable[[int], Tensor]:
    device = model.device
    mean, std = (
        torch.tensor(values, device=device).view(3, 1, 1)
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )

    def loss(step: int) -> Tensor:
        generator = step_generator(seed, STAGE, step, device)
        batch = _augmented(draw_batch(pool, SHARES, batch_size, generator), generator)
        raw_bhw = model((batch.image_b3hw - mean) / std).predicted_depth
        return depth_loss(raw_bhw, batch.disparity_bhw)

    return loss


def depth_loss(raw_bhw: Tensor, target_bhw: Tensor) -> Tensor:
    """Return mean |error| + 2 mean |error of the differences along rows and columns|."""
    error = raw_bhw - target_bhw
    slopes = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + _SLOPE_WEIGHT * slopes


def _augmented(batch: SceneBatch, generator: torch.Generator) -> SceneBatch:
    """Mirror picture and depth; change the picture's colours, exposure and grain."""
    image, disparity = batch.image_b3hw, batch.disparity_bhw
    if float(uniform(generator, 1)) < 0.5:
        image, disparity = image.flip(-1), disparity.flip(-1)
    count = len(image)
    tint = 1.0 + 0.3 * (uniform(generator, count, 3, 1, 1) - 0.5)
    exponent = 2.0 ** (uniform(generator, count, 1, 1, 1) - 0.5)
    grain = 0.04 * uniform(generator, count, 1, 1, 1)
    noise = normal(generator, *image.shape)
    image = (image.clamp(min=1e-4) ** exponent * tint + grain * noise).clamp(0.0, 1.0)
    return SceneBatch(image, disparity, batch.captions, batch.sibling_disparity_bhw)
