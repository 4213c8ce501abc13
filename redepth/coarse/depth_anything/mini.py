"""Depth Anything V2 (relative and metric) and DPT, small: milliseconds on one CPU core.

Before any training: what comes with redepth was trained by redepth.training.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
)

PATCH_PX = 8
# With transformers' own 0.02 the narrow convolutions shrink every signal to nothing, and the map
# of a photograph is flat until the model is trained. At 0.1 it varies as a disparity does.
UNTRAINED_STD = 0.1
_SMALLEST_DISPARITY = 0.5
METRIC_MAX_DEPTH_M = 10  # transformers takes whole metres alone


def build_mini_depth_anything(
    seed: int, weight_std: float = UNTRAINED_STD
) -> DepthAnythingForDepthEstimation:
    """Make the mini model with weights from a seed; the global random state is left as it was.

    Args:
        weight_std: of the drawn weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DepthAnythingForDepthEstimation(_config(weight_std)).eval()
    with torch.no_grad():
        # Behind a ReLU, weights of one sign and a bias keep the map positive: no random draw of
        # the head can give the constant 0.
        model.head.conv3.weight.abs_()
        model.head.conv3.bias.fill_(_SMALLEST_DISPARITY)
    return model


def build_mini_metric(
    seed: int, weight_std: float = UNTRAINED_STD
) -> DepthAnythingForDepthEstimation:
    """Make the mini model for depth in metres, with weights from a seed.

    Its head is a sigmoid times 10 m. The weights are drawn as they are: a sigmoid has no side on
    which a map would be constant. The global random state is left as it was.

    Args:
        weight_std: of the drawn weights.
    """
    config = _config(weight_std)
    config.depth_estimation_type = "metric"
    config.max_depth = METRIC_MAX_DEPTH_M
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DepthAnythingForDepthEstimation(config).eval()


def save_mini_estimator(folder: Path, seed: int) -> None:
    """Write the mini model as a folder that `coarse.weights.folder` takes."""
    build_mini_depth_anything(seed).save_pretrained(folder)


def _config(weight_std: float) -> DepthAnythingConfig:
    width = 96
    backbone = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=6,
        num_attention_heads=4,
        mlp_ratio=4,
        patch_size=PATCH_PX,
        image_size=64,
        out_indices=[2, 3, 5, 6],
        reshape_hidden_states=False,
        initializer_range=weight_std,
    )
    return DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=PATCH_PX,
        reassemble_hidden_size=width,
        reassemble_factors=[2, 1, 0.5, 0.25],  # as much finer than the patch as 4 is at 14 px
        neck_hidden_sizes=[32, 48, 64, 96],
        fusion_hidden_size=32,
        head_hidden_size=16,
        initializer_range=weight_std,
    )


def build_mini_dpt(seed: int, weight_std: float = UNTRAINED_STD) -> DPTForDepthEstimation:
    """Make a DPT of the same size with weights from a seed; the global random state is kept.

    Its position embeddings are learned for 64 px and interpolated for other sizes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DPTForDepthEstimation(_dpt_config(weight_std)).eval()
    with torch.no_grad():
        model.head.head[-2].weight.abs_()
        model.head.head[-2].bias.fill_(_SMALLEST_DISPARITY)
    return model


def _dpt_config(weight_std: float) -> DPTConfig:
    width = 80
    return DPTConfig(
        hidden_size=width,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=3 * width,
        patch_size=PATCH_PX,
        image_size=64,
        backbone_out_indices=[2, 3, 4, 5],
        reassemble_factors=[2, 1, 0.5, 0.25],
        neck_hidden_sizes=[24, 40, 56, 80],
        fusion_hidden_size=32,
        readout_type="project",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        is_hybrid=False,
        use_batch_norm_in_fusion_residual=False,
        initializer_range=weight_std,
    )
