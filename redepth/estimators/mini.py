"""Depth Anything V2 at a size that runs in milliseconds on one CPU core, untrained."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

# With transformers' own 0.02 the narrow convolutions shrink every signal to nothing, and the map
# of a photograph is flat. At 0.12 it varies, from about 0.5 to 10, as a disparity of the real
# model does.
_WEIGHT_STD = 0.12
_SMALLEST_DISPARITY = 0.5


def build_mini_depth_anything(seed: int) -> DepthAnythingForDepthEstimation:
    """Make the mini model with weights from a seed; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DepthAnythingForDepthEstimation(_config()).eval()
    with torch.no_grad():
        # Behind a ReLU, weights of one sign and a bias keep the map positive: no random draw of
        # the head can give the constant 0.
        model.head.conv3.weight.abs_()
        model.head.conv3.bias.fill_(_SMALLEST_DISPARITY)
    return model


def save_mini_estimator(folder: Path, seed: int) -> None:
    """Write the mini model as a folder that `coarse.weights.folder` takes."""
    build_mini_depth_anything(seed).save_pretrained(folder)


def _config() -> DepthAnythingConfig:
    width = 48
    backbone = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=4,
        num_attention_heads=3,
        mlp_ratio=2,
        patch_size=14,
        image_size=252,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
        initializer_range=_WEIGHT_STD,
    )
    return DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=width,
        neck_hidden_sizes=[12, 24, 32, 48],
        fusion_hidden_size=24,
        head_hidden_size=16,
        initializer_range=_WEIGHT_STD,
    )
