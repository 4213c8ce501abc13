"""Stable Diffusion's parts at a size that runs in milliseconds on one CPU core, untrained."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from redepth.priors.diffusion import PriorParts

_TEXT_WIDTH = 16
_NUM_TEXT_TOKENS = 77
_BOS, _EOS = "<|startoftext|>", "<|endoftext|>"


def build_mini_prior(seed: int) -> PriorParts:
    """Make the mini prior with weights from a seed; the global random state is left as it was."""
    tokenizer = _tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PriorParts(_vae(), _unet(), _text_encoder(tokenizer), tokenizer, _scheduler())


def save_mini_prior(folder: Path, seed: int) -> None:
    """Write the mini prior as a folder that `prior.weights.folder` takes, VAE decoder included."""
    parts = build_mini_prior(seed)
    parts.vae.save_pretrained(folder / "vae")
    parts.unet.save_pretrained(folder / "unet")
    parts.text_encoder.save_pretrained(folder / "text_encoder")
    parts.tokenizer.save_pretrained(folder / "tokenizer")
    parts.scheduler.save_pretrained(folder / "scheduler")


def _vae() -> AutoencoderKL:
    num_blocks = 4  # latents are 2 ** (4 - 1) = 8 times smaller, as Stable Diffusion's
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * num_blocks,
        up_block_types=("UpDecoderBlock2D",) * num_blocks,
        block_out_channels=(8, 16, 16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        scaling_factor=1.0,  # brings the latents of random weights to unit variance
    )


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=_TEXT_WIDTH,
        attention_head_dim=4,
    )


def _text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=_TEXT_WIDTH,
            intermediate_size=2 * _TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=_NUM_TEXT_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def _tokenizer() -> CLIPTokenizer:
    """Make CLIP's tokenizer with a vocabulary of single bytes: every text has tokens, no merges."""
    letters = sorted(ByteLevel.alphabet())
    names = [*letters, *(f"{letter}</w>" for letter in letters), _BOS, _EOS]
    vocabulary = {name: index for index, name in enumerate(names)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=_NUM_TEXT_TOKENS)


def _scheduler() -> DDPMScheduler:
    """Return Stable Diffusion 1.5's own noise schedule."""
    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
