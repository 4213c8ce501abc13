"""Stable Diffusion's parts at a size that runs in milliseconds on one CPU core, before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from redepth.refiners.redepth_anything.prior_parts import PriorParts

_TEXT_WIDTH = 96
_NUM_TEXT_TOKENS = 32
NUM_LATENT_CHANNELS = 16
_MAX_VOCABULARY = 4096
_BOS, _EOS = "<|startoftext|>", "<|endoftext|>"
_END = "</w>"


def build_mini_prior(seed: int, texts: Sequence[str] = ()) -> PriorParts:
    """Make the mini prior with weights from a seed; the global random state is left as it was.

    Args:
        texts: whose words are to be tokens of their own; any other word is spelt.
    """
    tokenizer = _tokenizer(texts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PriorParts(_vae(), _unet(), _text_encoder(tokenizer), tokenizer, _scheduler())


def save_mini_prior(folder: Path, seed: int) -> None:
    """Write the mini prior as a folder that `prior.weights.folder` takes, VAE decoder included."""
    save_prior(build_mini_prior(seed), folder)


def save_prior(parts: PriorParts, folder: Path, variant: str | None = None) -> None:
    """Write the parts as diffusers' pipelines lay them out."""
    parts.vae.save_pretrained(folder / "vae", variant=variant)
    parts.unet.save_pretrained(folder / "unet", variant=variant)
    parts.text_encoder.save_pretrained(folder / "text_encoder", variant=variant)
    parts.tokenizer.save_pretrained(folder / "tokenizer")
    parts.scheduler.save_pretrained(folder / "scheduler")


def _vae() -> AutoencoderKL:
    num_blocks = 3  # latents are 2 ** (3 - 1) = 4 times smaller: 16 x 16 of a picture of 64 px
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * num_blocks,
        up_block_types=("UpDecoderBlock2D",) * num_blocks,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=NUM_LATENT_CHANNELS,
        mid_block_add_attention=False,
        scaling_factor=1.0,  # a training sets it: 1 / standard deviation of the latents
    )


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=NUM_LATENT_CHANNELS,
        out_channels=NUM_LATENT_CHANNELS,
        # No attention at full size: it would be half of a step's time.
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 96, 128),
        layers_per_block=1,
        norm_num_groups=16,
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
            num_attention_heads=4,
            max_position_embeddings=_NUM_TEXT_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def _tokenizer(texts: Sequence[str]) -> CLIPTokenizer:
    """Make CLIP's tokenizer: single bytes, then merges until every word of `texts` is one token.

    The merges are a function of the texts. Those that the tokenizers library learns are not: they
    differ from process to process, and a text encoder that was trained with one is of no use with
    another.
    """
    letters = sorted(ByteLevel.alphabet())
    names = [*letters, *(f"{letter}{_END}" for letter in letters), _BOS, _EOS]
    spelling = _clip_tokenizer(names, [])
    if not texts:
        return spelling
    backend = spelling.backend_tokenizer
    words = Counter(
        word
        for text in texts
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(
            backend.normalizer.normalize_str(text)
        )
    )
    merges = learn_merges(words, _MAX_VOCABULARY - len(names))
    merged = dict.fromkeys(f"{first}{second}" for first, second in merges)
    return _clip_tokenizer([*names, *merged], merges)


def _clip_tokenizer(names: Sequence[str], merges: list[tuple[str, str]]) -> CLIPTokenizer:
    vocabulary = {name: index for index, name in enumerate(names)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=_NUM_TEXT_TOKENS)


def learn_merges(words: Mapping[str, int], limit: int) -> list[tuple[str, str]]:
    """Learn byte-pair merges: the most frequent pair first, the first by its letters of equals.

    Source: Sennrich et al. 2016.
    """
    spelt = {word: [*word[:-1], f"{word[-1]}{_END}"] for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < limit:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, pieces in spelt.items():
            for pair in pairwise(pieces):
                pairs[pair] += words[word]
        if not pairs:
            break
        chosen = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(chosen)
        spelt = {word: _merged(pieces, chosen) for word, pieces in spelt.items()}
    return merges


def _merged(pieces: Sequence[str], pair: tuple[str, str]) -> list[str]:
    """Join every occurrence of a pair, from the left."""
    found: list[str] = []
    for piece in pieces:
        if found and (found[-1], piece) == pair:
            found[-1] += piece
        else:
            found.append(piece)
    return found


def _scheduler() -> DDPMScheduler:
    """Return Stable Diffusion's noise schedule; the UNet predicts v."""
    return DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
    )
