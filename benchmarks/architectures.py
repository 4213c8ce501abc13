"""The architectures of the published models, without their weights: nothing is read from a hub.

The settings are those of the checkpoints' own configurations. On `torch.device("meta")` they take
no memory, elsewhere their weights are random.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    DepthProConfig,
    DepthProForDepthEstimation,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
)


@dataclass(frozen=True, slots=True)
class DepthAnythingSize:
    """What differs between the sizes of Depth Anything V2."""

    hidden: int
    layers: int
    heads: int
    out: tuple[int, int, int, int]
    neck: tuple[int, int, int, int]
    fusion: int


DEPTH_ANYTHING_SIZES = {
    "Small": DepthAnythingSize(384, 12, 6, (3, 6, 9, 12), (48, 96, 192, 384), 64),
    "Base": DepthAnythingSize(768, 12, 12, (3, 6, 9, 12), (96, 192, 384, 768), 128),
    "Large": DepthAnythingSize(1024, 24, 16, (5, 12, 18, 24), (256, 512, 1024, 1024), 256),
}


def depth_anything(size: str = "Small", max_depth_m: int | None = None) -> torch.nn.Module:
    """Return Depth Anything V2; for metres, up to `max_depth_m`, where that is given."""
    chosen = DEPTH_ANYTHING_SIZES[size]
    backbone = Dinov2Config(
        hidden_size=chosen.hidden, num_hidden_layers=chosen.layers,
        num_attention_heads=chosen.heads, patch_size=14, image_size=518,
        out_indices=list(chosen.out), reshape_hidden_states=False,
    )  # fmt: skip
    metric = {} if max_depth_m is None else {"max_depth": max_depth_m}
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=chosen.hidden, patch_size=14,
        neck_hidden_sizes=list(chosen.neck), fusion_hidden_size=chosen.fusion, head_hidden_size=32,
        depth_estimation_type="relative" if max_depth_m is None else "metric", **metric,
    )  # fmt: skip
    model: torch.nn.Module = DepthAnythingForDepthEstimation(config)
    return model


def dpt_large() -> torch.nn.Module:
    """Return DPT-Large, MiDaS 3's."""
    model: torch.nn.Module = DPTForDepthEstimation(
        DPTConfig(
            hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096,
            image_size=384, backbone_out_indices=[5, 11, 17, 23],
            neck_hidden_sizes=[256, 512, 1024, 1024], fusion_hidden_size=256,
        )
    )  # fmt: skip
    return model


def depth_pro() -> torch.nn.Module:
    """Return Depth Pro, with its network for the field of view: three ViT-L of DINOv2."""
    large = {"model_type": "dinov2", "hidden_size": 1024, "num_hidden_layers": 24,
             "num_attention_heads": 16, "patch_size": 16, "image_size": 384}  # fmt: skip
    config = DepthProConfig(
        use_fov_model=True,
        image_model_config=dict(large),
        patch_model_config=dict(large),
        fov_model_config=dict(large),
    )
    model: torch.nn.Module = DepthProForDepthEstimation(config)
    return model


def stable_diffusion_vae() -> AutoencoderKL:
    """Return the VAE of Stable Diffusion 1 and 2, and of Marigold and Lotus."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=512,
    )  # fmt: skip


def stable_diffusion_unet() -> UNet2DConditionModel:
    """Return the UNet of Stable Diffusion 1.5."""
    return UNet2DConditionModel(sample_size=64, cross_attention_dim=768)


def latent_depth_unet(num_latents: int, *, has_task: bool = False) -> UNet2DConditionModel:
    """Return Stable Diffusion 2's UNet, as Marigold, BetterDepth and Lotus-G widen its input.

    Args:
        num_latents: side by side, of 4 channels each.
        has_task: whether it takes Lotus-G's embedding of the task.
    """
    task = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 4}
    return UNet2DConditionModel(
        sample_size=64, in_channels=4 * num_latents, cross_attention_dim=1024,
        attention_head_dim=[5, 10, 20, 20], use_linear_projection=True,
        **(task if has_task else {}),
    )  # fmt: skip


def clip_text_encoder(width: int = 768, layers: int = 12, vocabulary: int = 49408) -> CLIPTextModel:
    """Return the text encoder of Stable Diffusion 1.5; of 1024 and 23 layers, that of 2."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary, hidden_size=width, intermediate_size=4 * width,
            num_hidden_layers=layers, num_attention_heads=width // 64,
            max_position_embeddings=77, bos_token_id=0, eos_token_id=1,
        )
    )  # fmt: skip
