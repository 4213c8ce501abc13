"""Train a small DPT: a coarse model of another family, to ask whether a refiner is plug-and-play.

It sees the shapes that the mini depth net sees (lumps to swells, pebbles, solids), with the lights
that the families have; its architecture and its first weights are others.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor
from transformers import DPTForDepthEstimation

from redepth.coarse.depth_anything.mini import build_mini_dpt
from redepth.coarse.depth_anything.network import IMAGENET_MEAN, IMAGENET_STD
from redepth.training.draws import step_draws
from redepth.training.engine.loop import Stage
from redepth.training.examples.scene_examples import SceneExamples, draw_examples
from redepth.training.examples.scene_pool import SIZE_PX
from redepth.training.mini_models.depth import depth_loss
from redepth.training.settings import Optimiser

STAGE = "dpt"
_PLAIN = ("lumps", "gaussians", "saddles", "swells")
SHARES = dict.fromkeys(_PLAIN, 0.14) | {"pebbles": 0.32, "solids": 0.12}
NUM_SCENES = dict.fromkeys((*_PLAIN, "pebbles"), 2500) | {"solids": 1500}
_WEIGHT_STD = 0.02


def new_mini_dpt(seed: int) -> DPTForDepthEstimation:
    """Return the mini DPT as training begins."""
    return build_mini_dpt(seed, _WEIGHT_STD)


def dpt_stage(
    model: DPTForDepthEstimation,
    examples: SceneExamples,
    seed: int,
    optimiser: Optimiser,
) -> Stage:
    """Return the training of the mini DPT on the disparity of scenes."""
    device = examples.rgb_n3hw.device
    mean, std = (torch.tensor(v).view(3, 1, 1).to(device) for v in (IMAGENET_MEAN, IMAGENET_STD))

    def loss(step: int) -> Tensor:
        draws = step_draws(seed, STAGE, step, device)
        batch = draw_examples(examples, SHARES, optimiser.batch_size, draws)
        raw_bhw = model((batch.image_b3hw - mean) / std).predicted_depth
        return depth_loss(raw_bhw, batch.truth_bhw)

    return Stage(STAGE, model, loss, optimiser)


def save_preprocessor(folder: Path) -> None:
    """Write the settings that DPT's own image processor has at this size."""
    values = {
        "do_normalize": True,
        "do_pad": False,
        "do_rescale": True,
        "do_resize": True,
        "ensure_multiple_of": 1,
        "image_mean": list(IMAGENET_MEAN),
        "image_processor_type": "DPTImageProcessor",
        "image_std": list(IMAGENET_STD),
        "keep_aspect_ratio": False,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": SIZE_PX, "width": SIZE_PX},
    }
    text = json.dumps(values, indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")
