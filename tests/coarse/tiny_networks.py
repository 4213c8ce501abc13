"""Every kind of coarse network at toy size, written as the hub's folders are laid out."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, MarigoldDepthPipeline, UNet2DConditionModel
from transformers import (
    BeitConfig,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    DepthProConfig,
    DepthProForDepthEstimation,
    Dinov2Config,
    Tipsv2DptConfig,
    Tipsv2DptForDepthEstimation,
    Tipsv2VisionConfig,
    ZoeDepthConfig,
    ZoeDepthForDepthEstimation,
)

from redepth.coarse.depth_anything.mini import build_mini_dpt

MINI = Path(__file__).resolve().parents[2] / "redepth/models/mini"


def save_dpt(folder: Path) -> Path:
    """Write the small DPT from a seed, with moments of its own."""
    build_mini_dpt(0).save_pretrained(folder)
    moments = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
    (folder / "preprocessor_config.json").write_text(json.dumps(moments))
    return folder


def save_marigold(folder: Path, **settings: object) -> Path:
    """Write a tiny Marigold as its authors' folder is laid out."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=8, out_channels=4,
        down_block_types=("CrossAttnDownBlock2D",), up_block_types=("CrossAttnUpBlock2D",),
        block_out_channels=(16,), layers_per_block=1, norm_num_groups=4,
        cross_attention_dim=16, attention_head_dim=2,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    tokenizer = CLIPTokenizer.from_pretrained(MINI / "prior/tokenizer")
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=77,
    )  # fmt: skip
    scheduler = DDIMScheduler(
        prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True
    )
    chosen = {"prediction_type": "depth", "default_denoising_steps": 2} | settings
    pipeline = MarigoldDepthPipeline(
        unet, vae, scheduler, CLIPTextModel(text), tokenizer,
        default_processing_resolution=768, **chosen,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder


def save_depth_pro(folder: Path, *, sees_fov: bool = True, fov_deg: float = 60.0) -> Path:
    """Write a tiny Depth Pro whose field of view is near a stated one."""
    torch.manual_seed(0)
    vit = Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, patch_size=4, image_size=16,
    )  # fmt: skip
    config = DepthProConfig(
        patch_size=16, fusion_hidden_size=8, intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[8, 8], scaled_images_ratios=[0.25, 0.5, 1.0],
        scaled_images_overlap_ratios=[0.0, 0.5, 0.25], scaled_images_feature_dims=[16, 16, 8],
        merge_padding_value=1, use_fov_model=sees_fov, num_fov_head_layers=1,
        image_model_config=vit.to_dict(), patch_model_config=vit.to_dict(),
        fov_model_config=vit.to_dict(), initializer_range=0.2,
    )  # fmt: skip
    model = DepthProForDepthEstimation(config).eval()
    with torch.no_grad():
        for layer in reversed(list(model.head.modules())):
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.abs_()
                assert layer.bias is not None
                layer.bias.fill_(0.1)
                break
        if sees_fov:
            last = [m for m in model.fov_model.modules() if isinstance(m, torch.nn.Conv2d)][-1]
            last.weight.mul_(0.01)
            assert last.bias is not None
            last.bias.fill_(fov_deg)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"size": {"height": 64, "width": 64}})
    )
    return folder


def save_zoedepth(folder: Path) -> Path:
    """Write a tiny ZoeDepth with a head for rooms and one for streets."""
    torch.manual_seed(0)
    beit = BeitConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64,
        image_size=64, patch_size=16, use_relative_position_bias=True,
        reshape_hidden_states=False, out_features=["stage1", "stage2", "stage3", "stage4"],
        initializer_range=0.3,
    )  # fmt: skip
    config = ZoeDepthConfig(
        backbone_config=beit, neck_hidden_sizes=[16, 16, 16, 16], fusion_hidden_size=16,
        bottleneck_features=16, num_relative_features=8, bin_embedding_dim=16,
        num_attractors=[4, 3, 2, 1], num_patch_transformer_layers=4,
        patch_transformer_hidden_size=128, patch_transformer_intermediate_size=16,
        patch_transformer_num_attention_heads=2, initializer_range=0.3,
        bin_configurations=[
            {"name": "nyu", "n_bins": 8, "min_depth": 1e-3, "max_depth": 10.0},
            {"name": "kitti", "n_bins": 8, "min_depth": 1e-3, "max_depth": 80.0},
        ],
    )  # fmt: skip
    ZoeDepthForDepthEstimation(config).save_pretrained(folder)
    said = {
        "size": {"height": 64, "width": 96}, "ensure_multiple_of": 32,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder


def save_tips(folder: Path) -> Path:
    """Write a tiny TIPSv2-DPT for depth."""
    torch.manual_seed(0)
    vit = Tipsv2VisionConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64,
        patch_size=14, image_size=56, out_indices=[1, 2, 3, 4], apply_layernorm=True,
        reshape_hidden_states=False, initializer_range=0.3,
    )  # fmt: skip
    config = Tipsv2DptConfig(
        backbone_config=vit, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        num_depth_bins=16, initializer_range=0.3,
    )  # fmt: skip
    Tipsv2DptForDepthEstimation(config).save_pretrained(folder)
    said = {"size": {"height": 56, "width": 56}}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder
