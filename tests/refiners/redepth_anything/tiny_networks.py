"""Re-Depth Anything's networks with a few channels each: a step takes milliseconds."""

from __future__ import annotations

from dataclasses import replace

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from redepth.refiners.redepth_anything.mini_prior import build_mini_prior
from redepth.refiners.redepth_anything.prior_parts import PriorParts


def tiny_depth_anything() -> DepthAnythingForDepthEstimation:
    """Return Depth Anything in float64, patches of 4 px, tokens of 8 channels; weights as drawn."""
    backbone = Dinov2Config(
        hidden_size=8, num_hidden_layers=4, num_attention_heads=1, patch_size=4, image_size=16,
        out_indices=[1, 2, 3, 4], reshape_hidden_states=False,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, patch_size=4, reassemble_hidden_size=8, fusion_hidden_size=8,
        reassemble_factors=[2, 1, 0.5, 0.25], neck_hidden_sizes=[4, 6, 8, 8], head_hidden_size=4,
        initializer_range=0.2,
    )  # fmt: skip
    model = DepthAnythingForDepthEstimation(config).double().eval()
    with torch.no_grad():
        model.head.conv3.weight.abs_()
        model.head.conv3.bias.fill_(0.5)
    return model


def tiny_prior(dtype: torch.dtype) -> PriorParts:
    """Return a prior of 16 px, its VAE with attention as Stable Diffusion's; weights as drawn."""
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, latent_channels=4,
        scaling_factor=0.7,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(8, 16), cross_attention_dim=96, attention_head_dim=2,
    )  # fmt: skip
    parts = replace(build_mini_prior(0), vae=vae, unet=unet)
    for network in (parts.vae, parts.unet, parts.text_encoder):
        network.to(dtype).eval().requires_grad_(False)
    return parts
