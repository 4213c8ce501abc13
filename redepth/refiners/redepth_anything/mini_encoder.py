"""TAESD's class at a size that fits the mini prior, before training."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderTiny

from redepth.refiners.redepth_anything.mini_prior import NUM_LATENT_CHANNELS

_NUM_CHANNELS = 24
# Residual blocks at 64, 32 and 16 px: where pictures are small, a block costs a sixteenth.
_NUM_BLOCKS = (0, 0, 2)


def build_mini_encoder(seed: int) -> AutoencoderTiny:
    """Make the mini encoder with weights from a seed; the global random state is left as it was.

    It takes pictures of 64 px to 16 latent channels of 16 x 16, as the mini prior's VAE does, at
    less than a fifth of its floating-point operations, forward and backward.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = AutoencoderTiny(
            encoder_block_out_channels=(_NUM_CHANNELS,) * len(_NUM_BLOCKS),
            decoder_block_out_channels=(1,) * len(_NUM_BLOCKS),
            num_encoder_blocks=_NUM_BLOCKS,
            num_decoder_blocks=(0,) * len(_NUM_BLOCKS),
            latent_channels=NUM_LATENT_CHANNELS,
        )
    drop_tiny_decoder(network)
    return network


def save_encoder(network: AutoencoderTiny, folder: Path, variant: str | None = None) -> None:
    """Write an encoder as a folder that `prior.encoder_weights.folder` takes."""
    network.save_pretrained(folder, variant=variant)


def drop_tiny_decoder(network: AutoencoderTiny) -> None:
    """Take the decoder half off an AutoencoderTiny, in place; encoding still works."""
    del network.decoder
