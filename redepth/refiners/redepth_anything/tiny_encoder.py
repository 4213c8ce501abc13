"""A tiny encoder in place of a VAE's: AutoencoderTiny through diffusers, its decoder never read.

It gives the latents in the scale of the UNet, as TAESD does: the mean of the VAE's posterior times
the VAE's scaling factor. It has no posterior, so nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file
from torch import Tensor

from redepth.errors import ConfigError
from redepth.refiners.redepth_anything import ENCODERS
from redepth.refiners.redepth_anything.mini_encoder import build_mini_encoder, drop_tiny_decoder
from redepth.refiners.redepth_anything.picture_encoder import memory_format_on
from redepth.settings import HubWeights, Weights
from redepth.types import ModelCard
from redepth.weights import (
    DIFFUSERS_STEM,
    ResolvedFolder,
    quieten_libraries,
    reading,
    resolve_weights,
    seeded_card,
    variant_of,
    weight_files,
    weight_patterns,
)

_ROLE = "encoder"
_ENCODER_PREFIX = "encoder."


class TinyEncoder:
    """An AutoencoderTiny's encoder: a `PictureEncoder` that draws nothing.

    Runs in the dtype it is given; what goes in and comes out keeps the picture's.
    """

    def __init__(
        self,
        network: AutoencoderTiny,
        card: ModelCard,
        size_px: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._card = card
        self._memory_format = memory_format_on(device)
        placed = network.to(device=device, dtype=dtype, memory_format=self._memory_format)
        self._network = placed.eval().requires_grad_(False)
        self._dtype = dtype
        self._scaling_factor = float(network.config.scaling_factor)
        side = size_px // 2 ** (len(network.config.num_encoder_blocks) - 1)
        self._latent_shape = (int(network.config.latent_channels), side, side)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width): the picture's side over 2 for each block but one."""
        return self._latent_shape

    @property
    def cards(self) -> tuple[ModelCard, ...]:
        """Return the card of what was loaded."""
        return (self._card,)

    def encode(self, picture_b3hw: Tensor, posterior_noise_bchw: Tensor) -> Tensor:
        """Return the latents; the noise is not used.

        Args:
            picture_b3hw: float [B, 3, side, side] in [-1, 1]; the network's own first step brings
                it to [0, 1].
            posterior_noise_bchw: ignored.
        """
        placed = picture_b3hw.to(self._dtype, memory_format=self._memory_format)
        latents = self._network.encode(placed).latents
        scaled: Tensor = latents.to(picture_b3hw.dtype) * self._scaling_factor
        return scaled


def load_tiny_encoder(
    preset: str, own: Weights, size_px: int, dtype: torch.dtype, device: torch.device
) -> TinyEncoder:
    """Load a tiny encoder from the hub, a folder, or (mini-tiny alone) a seed.

    Args:
        preset: a name in `ENCODERS`.
        own: what the recipe says of its weights; wins over the preset.
        size_px: side of the pictures that the prior takes.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are not of an AutoencoderTiny.
    """
    quieten_libraries()
    network, card = _read(preset, own) if own.seed is None else _make(preset, own.seed)
    return TinyEncoder(network, card, size_px, dtype, device)


def _read(preset: str, own: Weights) -> tuple[AutoencoderTiny, ModelCard]:
    published = ENCODERS[preset].weights
    variant = variant_of(own, published)
    patterns = ("config.json", *weight_patterns(DIFFUSERS_STEM, variant))
    folder = resolve_weights(own, published, patterns)
    files = weight_files(folder, DIFFUSERS_STEM, variant)
    return _read_encoder(folder, files), folder.card(_ROLE, files)


def _read_encoder(folder: ResolvedFolder, files: Sequence[Path]) -> AutoencoderTiny:
    """Build the network without memory, drop its decoder, and fill the rest from the files."""
    with reading("the tiny encoder", folder.path):
        config = AutoencoderTiny.load_config(folder.path, local_files_only=True)
        with torch.device("meta"):
            network = AutoencoderTiny.from_config(config)
        drop_tiny_decoder(network)
        stored = {name: tensor for path in files for name, tensor in load_file(path).items()}
        state = {name: t for name, t in stored.items() if name.startswith(_ENCODER_PREFIX)}
        network.load_state_dict(state, assign=True)
    return network


def _make(preset: str, seed: int) -> tuple[AutoencoderTiny, ModelCard]:
    if isinstance(ENCODERS[preset].weights, HubWeights):
        raise ConfigError(
            f"prior.encoder_weights.seed makes the encoder 'mini-tiny' only, got {preset!r}: leave "
            "encoder_weights out for the preset's own, or name a repo or a folder"
        )
    network = build_mini_encoder(seed)
    return network, seeded_card(_ROLE, preset, seed, network.state_dict())
