"""Train a small DPT: a coarse model of another family, to ask whether a refiner is plug-and-play.

It sees the shapes that the mini depth net sees (lumps to swells, pebbles, solids), with the lights
that the families have; its architecture and its first weights are others.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import DPTForDepthEstimation

from redepth.coarse.depth_anything.mini import build_mini_dpt
from redepth.coarse.depth_anything.network import IMAGENET_MEAN, IMAGENET_STD
from redepth.training.draws import step_draws
from redepth.training.loop import Stage
from redepth.training.mini_depth import depth_loss
from redepth.training.scene_examples import SceneExamples, draw_examples

STAGE = "dpt"
_PLAIN = ("lumps", "gaussians", "saddles", "swells")
SHARES = dict.fromkeys(_PLAIN, 0.14) | {"pebbles": 0.32, "solids": 0.12}
NUM_STEPS, BATCH_SIZE, LEARNING_RATE = 2500, 64, 1e-3
_WEIGHT_STD = 0.02


def new_mini_dpt(seed: int) -> DPTForDepthEstimation:
    """Return the mini DPT as training begins."""
    return build_mini_dpt(seed, _WEIGHT_STD)


def dpt_stage(
    model: DPTForDepthEstimation,
    examples: SceneExamples,
    seed: int,
    num_steps: int = NUM_STEPS,
    batch_size: int = BATCH_SIZE,
) -> Stage:
    """Return the training of the mini DPT on the disparity of scenes."""
    device = examples.rgb_n3hw.device
    mean, std = (torch.tensor(v).view(3, 1, 1).to(device) for v in (IMAGENET_MEAN, IMAGENET_STD))

    def loss(step: int) -> Tensor:
        draws = step_draws(seed, STAGE, step, device)
        batch = draw_examples(examples, SHARES, batch_size, draws)
        raw_bhw = model((batch.image_b3hw - mean) / std).predicted_depth
        return depth_loss(raw_bhw, batch.truth_bhw)

    return Stage(STAGE, model, loss, num_steps, LEARNING_RATE)
