"""Captioners of all three kinds, tiny and random, through the folder that the hub would give."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    BartTokenizer,
    BertTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GPT2Tokenizer,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from redepth.errors import ConfigError
from redepth.refiners.redepth_anything import Caption
from redepth.refiners.redepth_anything.captioners import captioners
from redepth.refiners.redepth_anything.captioners.image_to_text import Captioner, load_captioner
from redepth.settings import Compute, Weights
from redepth.types import ByteImage
from redepth.weights import quieten_libraries

CPU = torch.device("cpu")
WIDTH = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
VISION = {**WIDTH, "num_hidden_layers": 1, "image_size": 32, "patch_size": 16}
SMALL = {"height": 32, "width": 32}


def write_blip(folder: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog", "##s"]
    text = {
        **WIDTH,
        "encoder_hidden_size": 16,
        "projection_dim": 16,
        "num_hidden_layers": 1,
        "vocab_size": len(words) + 1,
        "max_position_embeddings": 64,
        "bos_token_id": len(words),  # as in the real ones, unknown to the tokenizer
        "eos_token_id": words.index("[SEP]"),
        "sep_token_id": words.index("[SEP]"),
        "pad_token_id": words.index("[PAD]"),
    }
    config = BlipConfig(text_config=text, vision_config=VISION, projection_dim=16)
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    BlipForConditionalGeneration(config).save_pretrained(folder)
    BlipProcessor(BlipImageProcessorPil(size=SMALL), tokenizer).save_pretrained(folder)


def write_blip2(folder: Path) -> None:
    tokenizer = GPT2Tokenizer(
        vocab=byte_vocabulary("<s>", "<pad>", "</s>"),
        merges=[],
        bos_token="</s>",
        eos_token="</s>",
        unk_token="</s>",
        pad_token="<pad>",
    )
    images = BlipImageProcessorPil(size=SMALL)
    processor = Blip2Processor(images, tokenizer, num_query_tokens=4)  # adds the image token
    text = {
        "model_type": "opt",
        "hidden_size": 16,
        "word_embed_proj_dim": 16,
        "ffn_dim": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 128,
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    qformer = {**WIDTH, "encoder_hidden_size": 16, "num_hidden_layers": 1, "vocab_size": 8}
    config = Blip2Config(
        vision_config=VISION,
        qformer_config=qformer,
        text_config=text,
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    Blip2ForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)


def write_florence2(folder: Path) -> None:
    tokenizer = BartTokenizer(
        vocab=byte_vocabulary("<s>", "<pad>", "</s>", "<unk>", "<mask>", "<image>"),
        merges=[],
        extra_special_tokens={"image_token": "<image>"},
    )
    images = CLIPImageProcessorPil(size={"height": 64, "width": 64}, do_center_crop=False)
    images.image_seq_length = 8 * 8 + 1  # the two stages below shrink 64 px eightfold
    vision = {
        "depths": [1, 1],
        "patch_size": [7, 3],
        "patch_stride": [4, 2],
        "patch_padding": [3, 1],
        "patch_prenorm": [False, True],
        "embed_dim": [8, 16],
        "num_heads": [1, 2],
        "num_groups": [1, 2],
        "window_size": 4,
        "projection_dim": 16,
        "max_position_embeddings": 20,
    }
    text = {
        "model_type": "bart",
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "max_position_embeddings": 256,
        "vocab_size": len(tokenizer),
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": 2,
    }
    config = Florence2Config(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    Florence2ForConditionalGeneration(config).save_pretrained(folder)
    Florence2Processor(images, tokenizer).save_pretrained(folder)


def byte_vocabulary(*specials: str) -> dict[str, int]:
    return {name: index for index, name in enumerate([*specials, *sorted(ByteLevel.alphabet())])}


WRITERS: dict[str, Callable[[Path], None]] = {
    "blip": write_blip,
    "blip-2": write_blip2,
    "florence-2": write_florence2,
}


@pytest.fixture(scope="module", params=WRITERS)
def kind_and_folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    quieten_libraries()
    folder = tmp_path_factory.mktemp(request.param)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        WRITERS[request.param](folder)
    return request.param, folder


def load(kind: str, folder: Path, **compute: str) -> Captioner:
    weights = Weights(folder=str(folder), licence="MIT")
    return load_captioner(captioners[kind], weights, Compute.model_validate(compute), CPU)


def photograph(height_px: int = 40, width_px: int = 61, seed: int = 0) -> ByteImage:
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


def test_same_picture_same_words(kind_and_folder: tuple[str, Path]) -> None:
    first, second = load(*kind_and_folder), load(*kind_and_folder)
    words = first.caption(photograph())
    assert isinstance(words, str)
    assert words == first.caption(photograph()) == second.caption(photograph())


def test_words_hold_no_special_tokens_nor_line_breaks(kind_and_folder: tuple[str, Path]) -> None:
    words = load(*kind_and_folder).caption(photograph())
    assert not any(mark in words for mark in ("<", "[", "\n"))
    assert words == words.strip()


def test_card_says_what_was_read(kind_and_folder: tuple[str, Path]) -> None:
    kind, folder = kind_and_folder
    card = load(kind, folder).card
    assert (card.role, card.source, card.licence) == ("captioner", str(folder), "MIT")
    assert len(card.sha256) == 64
    assert not card.untrained


def test_runs_in_half_precision(kind_and_folder: tuple[str, Path]) -> None:
    assert isinstance(load(*kind_and_folder, dtype="bfloat16").caption(photograph()), str)


@pytest.mark.parametrize("shape", [(3, 64), (64, 3), (1, 1)])
def test_odd_shapes_are_read_as_height_width_channels(
    kind_and_folder: tuple[str, Path], shape: tuple[int, int]
) -> None:
    assert isinstance(load(*kind_and_folder).caption(photograph(*shape)), str)


def test_the_picture_decides_the_words(tmp_path: Path) -> None:
    """With louder weights, so that the picture is heard, two pictures give two captions."""
    quieten_libraries()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        write_blip(tmp_path)
        model = BlipForConditionalGeneration.from_pretrained(tmp_path)
        for name, parameter in model.named_parameters():
            if "crossattention" in name or "vision" in name:
                torch.nn.init.normal_(parameter)
        model.save_pretrained(tmp_path)
    captioner = load("blip", tmp_path)
    captions = {captioner.caption(photograph(32, 32, seed)) for seed in range(8)}
    assert len(captions) > 1


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    CLIPTextModel(
        CLIPTextConfig(vocab_size=8, num_hidden_layers=1, **WIDTH, bos_token_id=0, eos_token_id=1)
    ).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="cannot read the captioner"):
        load("blip", tmp_path)


def test_a_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="trained weights"):
        load_captioner(captioners["blip"], Weights(seed=0), Compute(), CPU)


def test_a_captioner_of_another_name_is_refused(kind_and_folder: tuple[str, Path]) -> None:
    kind, folder = kind_and_folder
    other = next(name for name in captioners.names() if name != kind)
    with pytest.raises(ConfigError, match=f"the captioner {other} is of the kind"):
        load(other, folder)


def test_an_unknown_captioner_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ValidationError, match=r"called 'blib'; known: blip, .*; did you mean 'blip'\?"
    ):
        Caption(captioner="blib")
