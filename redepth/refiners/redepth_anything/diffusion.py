"""Stable Diffusion 1.x through diffusers, as a frozen judge of pictures.

Only what score distillation needs is loaded: the encoder half of the VAE, the UNet, the text
encoder with its tokenizer, and the noise schedule. The VAE's decoder is never read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from redepth.errors import ConfigError
from redepth.refiners.redepth_anything import PRIORS, Prior
from redepth.refiners.redepth_anything.picture_encoder import (
    Network,
    PictureEncoder,
    PosteriorEncoder,
    memory_format_on,
)
from redepth.refiners.redepth_anything.prior_parts import PriorParts
from redepth.refiners.redepth_anything.tiny_encoder import load_tiny_encoder
from redepth.settings import Compute, HubWeights
from redepth.types import ModelCard
from redepth.weights import (
    DIFFUSERS_STEM,
    TOKENIZER_FILES,
    ResolvedFolder,
    quieten_libraries,
    read_network,
    reading,
    resolve_weights,
    seeded_card,
    variant_of,
    weight_files,
    weight_patterns,
)

# Names of attention weights in VAE checkpoints of 2022, Stable Diffusion 1.5 among them.
_OLD_ATTENTION_NAMES = {
    ".query.": ".to_q.",
    ".key.": ".to_k.",
    ".value.": ".to_v.",
    ".proj_attn.": ".to_out.0.",
}
# Score distillation divides its gradient by the latents' 16384 elements; what then reaches a pixel
# is about 1e-6, where float16 has a bit or two left. A power of two, so that nothing else changes.
_HALF_GRADIENT_SCALE = 1024.0


class DiffusionPrior:
    """A frozen latent diffusion model.

    Takes and gives float32, and float64 where the networks are float64; the networks run in the
    dtype they were loaded with.

    Attributes:
        card: the prior that was loaded.
        cards: that, and the card of an encoder that is not its own.
        size_px: side of the square pictures it takes.
        latent_shape: (channels, height, width) of the latents of such a picture.
        num_timesteps: T; timesteps are 0 .. T - 1.
        alphas_cumprod: abar, float32 (or float64) [T], on the device.
    """

    def __init__(
        self,
        parts: PriorParts,
        encoder: PictureEncoder,
        card: ModelCard,
        size_px: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.card = card
        self.cards: tuple[ModelCard, ...] = (card, *encoder.cards)
        self.size_px = size_px
        self.latent_shape = encoder.latent_shape
        wide = torch.promote_types(dtype, torch.float32)
        self.alphas_cumprod: Tensor = parts.scheduler.alphas_cumprod.to(device, wide)
        self.num_timesteps = len(self.alphas_cumprod)
        self._predicts_velocity = parts.scheduler.config.prediction_type == "v_prediction"
        self._gradient_scale = _HALF_GRADIENT_SCALE if dtype == torch.float16 else 1.0
        self._encoder = encoder
        self._run_encoder = encoder.encode
        self._run_unet = self._predict_noise
        self._tokenizer = parts.tokenizer
        self._dtype = dtype
        self._device = device
        self._memory_format = memory_format_on(device)
        self._unet = parts.unet.to(device=device, dtype=dtype, memory_format=self._memory_format)
        self._text_encoder = parts.text_encoder.to(device=device, dtype=dtype)
        for network in (self._unet, self._text_encoder):
            network.eval().requires_grad_(False)

    def encode(self, image_b3hw: Tensor, noise_bchw: Tensor) -> Tensor:
        """Return the encoder's latents, differentiable in the picture.

        Args:
            image_b3hw: float32 [B, 3, size_px, size_px] in [-1, 1].
            noise_bchw: float32 [B, *latent_shape], standard normal, for the VAE's posterior.

        Returns:
            float32 [B, *latent_shape].
        """
        image_b3hw = _with_gradient_times(1 / self._gradient_scale, image_b3hw)
        latents = self._run_encoder(image_b3hw, noise_bchw)
        return _with_gradient_times(self._gradient_scale, latents)

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Return the text encoder's states, float32 [P, L, C], padded and truncated to L.

        L is the text encoder's: 77 in Stable Diffusion.
        """
        tokens = self._tokenizer(
            list(prompts),
            padding="max_length",
            max_length=self._text_encoder.config.max_position_embeddings,
            truncation=True,
            return_tensors="pt",
        )
        states: Tensor = self._text_encoder(tokens.input_ids.to(self._device)).last_hidden_state
        return states.to(self.alphas_cumprod.dtype)

    def compile(self, compiler: Callable[[Network], Network]) -> None:
        """Put compiled functions in the place of encoder and UNet; the text encoder stays."""
        self._run_encoder = compiler(self._encoder.encode)
        self._run_unet = compiler(self._predict_noise)

    @torch.no_grad()
    def predict_noise(
        self, noisy_bchw: Tensor, timesteps_b: Tensor, embeddings_blc: Tensor
    ) -> Tensor:
        """Return the UNet's estimate of the noise in noisy latents, without gradient.

        A UNet that predicts v = sqrt(abar) e - sqrt(1 - abar) x is brought to noise by
        e = sqrt(abar) v + sqrt(1 - abar) x_t.

        Args:
            noisy_bchw: x_t, float32 [B, *latent_shape].
            timesteps_b: int64 [B] in 0 .. T - 1.
            embeddings_blc: float32 [B, L, C] of `embed`.

        Returns:
            float32 [B, *latent_shape].
        """
        return self._run_unet(noisy_bchw, timesteps_b, embeddings_blc)

    def _predict_noise(
        self, noisy_bchw: Tensor, timesteps_b: Tensor, embeddings_blc: Tensor
    ) -> Tensor:
        output: Tensor = self._unet(
            noisy_bchw.to(self._dtype, memory_format=self._memory_format),
            timesteps_b,
            encoder_hidden_states=embeddings_blc.to(self._dtype),
        ).sample.to(noisy_bchw.dtype)
        if not self._predicts_velocity:
            return output
        abar_b111: Tensor = self.alphas_cumprod[timesteps_b].view(-1, 1, 1, 1)
        return abar_b111.sqrt() * output + (1 - abar_b111).sqrt() * noisy_bchw


def load_prior(settings: Prior, compute: Compute, device: torch.device) -> DiffusionPrior:
    """Load a prior from the hub, a folder, or (mini alone) a seed.

    Raises:
        ConfigError: the weights cannot be had, are not whole, or are not of Stable Diffusion 1.x.
    """
    quieten_libraries()
    preset = PRIORS[settings.preset]
    dtype: torch.dtype = getattr(torch, compute.dtype)
    seed = settings.weights.seed
    parts, card = _read(settings, dtype) if seed is None else _make(settings, seed)
    _require_stable_diffusion(parts, card.source)
    encoder = _load_encoder(settings, parts, dtype, device)
    return DiffusionPrior(parts, encoder, card, preset.size_px, dtype, device)


def _load_encoder(
    settings: Prior, parts: PriorParts, dtype: torch.dtype, device: torch.device
) -> PictureEncoder:
    """Return the VAE's encoder, or the tiny one that the recipe names in its place."""
    size_px = PRIORS[settings.preset].size_px
    own = PosteriorEncoder(parts.vae, size_px, dtype, device)
    if settings.encoder is None:
        return own
    tiny = load_tiny_encoder(settings.encoder, settings.encoder_weights, size_px, dtype, device)
    if tiny.latent_shape != own.latent_shape:
        given, wanted = (" x ".join(map(str, e.latent_shape)) for e in (tiny, own))
        raise ConfigError(
            f"prior.encoder {settings.encoder!r} gives latents of {given}, and the prior takes "
            f"{wanted}: name an encoder that was made for this prior"
        )
    return tiny


def _read(settings: Prior, dtype: torch.dtype) -> tuple[PriorParts, ModelCard]:
    preset = PRIORS[settings.preset].weights
    variant = variant_of(settings.weights, preset)
    folder = resolve_weights(settings.weights, preset, _patterns(variant))
    vae_files = weight_files(folder, DIFFUSERS_STEM, variant, "vae")
    unet_files = weight_files(folder, DIFFUSERS_STEM, variant, "unet")
    text_files = weight_files(folder, "model", variant, "text_encoder")
    parts = PriorParts(
        vae=_read_vae_encoder(folder, vae_files, dtype),
        unet=read_network(UNet2DConditionModel, folder, "unet", variant, dtype),
        text_encoder=read_network(CLIPTextModel, folder, "text_encoder", variant, dtype),
        tokenizer=_read_tokenizer(folder),
        scheduler=_read_scheduler(folder),
    )
    return parts, folder.card("prior", [*vae_files, *unet_files, *text_files])


def _patterns(variant: str | None) -> tuple[str, ...]:
    return (
        "vae/config.json",
        *weight_patterns(DIFFUSERS_STEM, variant, "vae"),
        "unet/config.json",
        *weight_patterns(DIFFUSERS_STEM, variant, "unet"),
        "text_encoder/config.json",
        *weight_patterns("model", variant, "text_encoder"),
        *(f"tokenizer/{name}" for name in TOKENIZER_FILES),
        "scheduler/scheduler_config.json",
    )


def _read_vae_encoder(
    folder: ResolvedFolder, files: Sequence[Path], dtype: torch.dtype
) -> AutoencoderKL:
    """Build the VAE without memory, drop its decoder, and fill the rest from the files."""
    with reading("the VAE's encoder", folder.path / "vae"):
        config = AutoencoderKL.load_config(folder.path / "vae", local_files_only=True)
        with torch.device("meta"):
            vae = AutoencoderKL.from_config(config)
        drop_decoder(vae)
        state = _encoder_state(files, wanted=vae.state_dict().keys(), dtype=dtype)
        vae.load_state_dict(state, assign=True)
    return vae


def drop_decoder(vae: AutoencoderKL) -> None:
    """Take the decoder half off a VAE, in place; encoding still works."""
    del vae.decoder
    del vae.post_quant_conv
    vae.post_quant_conv = None


def _encoder_state(
    files: Sequence[Path], wanted: Set[str], dtype: torch.dtype
) -> dict[str, Tensor]:
    state = {}
    for path in files:
        with safe_open(path, framework="pt") as tensors:
            for stored in tensors.keys():  # noqa: SIM118 - not a mapping
                name = _present_name(stored)
                if name in wanted:
                    state[name] = tensors.get_tensor(stored).to(dtype)
    return state


def _present_name(stored: str) -> str:
    for old, present in _OLD_ATTENTION_NAMES.items():
        stored = stored.replace(old, present)
    return stored


def _read_tokenizer(folder: ResolvedFolder) -> CLIPTokenizer:
    with reading("the tokenizer", folder.path / "tokenizer"):
        return CLIPTokenizer.from_pretrained(folder.path / "tokenizer", local_files_only=True)


def _read_scheduler(folder: ResolvedFolder) -> DDPMScheduler:
    """Read the noise schedule; whatever scheduler class the folder names shares its settings."""
    with reading("the noise schedule", folder.path / "scheduler"):
        config = DDPMScheduler.load_config(folder.path / "scheduler", local_files_only=True)
        return DDPMScheduler.from_config(config)


def _make(settings: Prior, seed: int) -> tuple[PriorParts, ModelCard]:
    from redepth.refiners.redepth_anything.mini_prior import build_mini_prior

    if isinstance(PRIORS[settings.preset].weights, HubWeights):
        raise ConfigError(
            f"prior.weights.seed makes the preset 'mini' only, got preset {settings.preset!r}: "
            "leave weights out for the preset's own, or name a repo or a folder"
        )
    parts = build_mini_prior(seed)
    drop_decoder(parts.vae)
    return parts, seeded_card("prior", settings.preset, seed, parts.state())


def _with_gradient_times(factor: float, values: Tensor) -> Tensor:
    """Return the same values; what flows back through them is multiplied by `factor`."""
    if factor == 1 or not values.requires_grad:
        return values
    same = values.view_as(values)
    same.register_hook(lambda gradient: gradient * factor)  # type: ignore[no-untyped-call]
    return same


def _require_stable_diffusion(parts: PriorParts, source: str) -> None:
    """Refuse what loads and would fail, or mislead, at the first step."""
    unet, prediction = parts.unet.config, parts.scheduler.config.prediction_type
    text_width = parts.text_encoder.config.hidden_size
    problem = None
    if unet.in_channels != parts.vae.config.latent_channels:
        problem = f"its UNet takes {unet.in_channels} channels"
    elif unet.addition_embed_type is not None:
        problem = f"its UNet also needs {unet.addition_embed_type} embeddings"
    elif unet.cross_attention_dim != text_width:
        problem = f"its UNet attends to {unet.cross_attention_dim} text channels, not {text_width}"
    elif prediction not in ("epsilon", "v_prediction"):
        problem = f"it predicts {prediction}"
    if problem is not None:
        raise ConfigError(
            f"{source} is no Stable Diffusion 1.x or 2.x text-to-image model: {problem}"
        )
