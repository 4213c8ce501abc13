"""A tiny encoder in place of the prior's: where it comes from, and what it gives."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from diffusers import AutoencoderTiny
from huggingface_hub.utils import filter_repo_objects
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from redepth.config import load_recipe
from redepth.errors import ConfigError
from redepth.refiners.redepth_anything import Prior
from redepth.refiners.redepth_anything.diffusion import load_prior
from redepth.refiners.redepth_anything.mini_encoder import build_mini_encoder
from redepth.refiners.redepth_anything.mini_prior import build_mini_prior
from redepth.refiners.redepth_anything.tiny_encoder import TinyEncoder, load_tiny_encoder
from redepth.settings import Compute, Weights
from redepth.types import ModelCard
from redepth.weights import quieten_libraries

CPU = torch.device("cpu")
FILE = "diffusion_pytorch_model.safetensors"
CARD = ModelCard("encoder", "toy", "seed 0", None, "0" * 64, "none", untrained=True)


def whole(seed: int = 0, **config: Any) -> AutoencoderTiny:
    """A small AutoencoderTiny with both halves, as the hub holds them."""
    quieten_libraries()
    torch.manual_seed(seed)
    sizes = {"num_encoder_blocks": (0, 1, 1), "num_decoder_blocks": (1, 1, 1)}
    widths = {"encoder_block_out_channels": (8,) * 3, "decoder_block_out_channels": (8,) * 3}
    return AutoencoderTiny(**sizes, **widths, latent_channels=16, **config)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    whole().save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def picture(seed: int = 0, size_px: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, size_px, size_px, generator=generator) * 2 - 1


def noise(seed: int = 0) -> Tensor:
    return torch.randn(1, 16, 16, 16, generator=torch.Generator().manual_seed(seed))


def from_folder(path: Path, variant: str | None = None) -> TinyEncoder:
    own = Weights(folder=str(path), variant=variant)
    return load_tiny_encoder("mini-tiny", own, 64, torch.float32, CPU)


def assert_same(first: TinyEncoder, second: TinyEncoder) -> None:
    assert torch.equal(first.encode(picture(), noise()), second.encode(picture(), noise()))


# --- what it gives


def test_latents_are_in_the_scale_of_the_unet_and_nothing_is_drawn() -> None:
    network = whole(scaling_factor=3.0)
    with torch.no_grad():
        expected = network.encode(picture()).latents * 3.0
    encoder = TinyEncoder(network, CARD, 64, torch.float32, CPU)
    assert encoder.latent_shape == expected.shape[1:] == (16, 16, 16)
    assert torch.equal(encoder.encode(picture(), noise(0)), expected)
    assert torch.equal(encoder.encode(picture(), noise(1)), expected)


def test_the_gradient_reaches_the_picture_and_no_weight() -> None:
    encoder = TinyEncoder(whole(), CARD, 64, torch.float32, CPU)
    image = picture().requires_grad_(True)
    encoder.encode(image, noise()).square().sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in encoder._network.parameters())


def test_half_precision_is_inside_only() -> None:
    half = TinyEncoder(whole(), CARD, 64, torch.bfloat16, CPU)
    full = TinyEncoder(whole(), CARD, 64, torch.float32, CPU)
    encoded = half.encode(picture(), noise())
    assert encoded.dtype == torch.float32
    assert {p.dtype for p in half._network.parameters()} == {torch.bfloat16}
    torch.testing.assert_close(encoded, full.encode(picture(), noise()), rtol=0.1, atol=0.1)


def test_taesd_gives_the_latents_of_stable_diffusion_in_shape() -> None:
    with torch.device("meta"):
        network = AutoencoderTiny()  # whose defaults are TAESD's
    encoder = TinyEncoder(network.to_empty(device=CPU), CARD, 512, torch.float32, CPU)
    assert encoder.latent_shape == (4, 64, 64)
    assert encoder.encode(picture(size_px=64), noise()).shape[1:] == (4, 8, 8)


def test_the_mini_one_costs_less_than_a_fifth_of_the_vaes() -> None:
    vae, tiny = build_mini_prior(seed=0).vae, build_mini_encoder(seed=0)

    def flops(network: torch.nn.Module, encode: Any) -> int:
        network.requires_grad_(False)
        image = picture().requires_grad_(True)
        with FlopCounterMode(display=False) as counter:
            encode(image).sum().backward()
        return int(counter.get_total_flops())

    of_vae = flops(vae, lambda image: vae.encode(image).latent_dist.mean)
    of_tiny = flops(tiny, lambda image: tiny.encode(image).latents)
    assert 5 * of_tiny < of_vae


# --- where it comes from


def test_a_folder_gives_what_was_saved_with_or_without_a_decoder(folder: Path) -> None:
    encoder = from_folder(folder)
    (card,) = encoder.cards
    assert (card.role, card.source) == ("encoder", str(folder))
    assert_same(encoder, TinyEncoder(whole(), CARD, 64, torch.float32, CPU))
    state = load_file(folder / FILE)
    kept = {name: tensor for name, tensor in state.items() if name.startswith("encoder.")}
    assert len(kept) < len(state)
    save_file(kept, folder / FILE)
    assert_same(from_folder(folder), encoder)


def test_a_variant_is_found(folder: Path) -> None:
    encoder = from_folder(folder)
    (folder / FILE).rename(folder / "diffusion_pytorch_model.fp16.safetensors")
    assert_same(from_folder(folder, "fp16"), encoder)


def test_a_checkpoint_with_holes_is_refused(folder: Path) -> None:
    state = load_file(folder / FILE)
    del state["encoder.layers.0.weight"]
    save_file(state, folder / FILE)
    with pytest.raises(ConfigError, match=r"encoder\.layers\.0\.weight"):
        from_folder(folder)


def test_pickles_are_not_loaded(folder: Path) -> None:
    (folder / FILE).rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(ConfigError, match="Only safetensors"):
        from_folder(folder)


def test_a_whole_vae_is_not_taken_for_a_tiny_one(tmp_path: Path) -> None:
    build_mini_prior(seed=0).vae.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="cannot read the tiny encoder"):
        from_folder(tmp_path)


def test_seeds_make_the_mini_one_alone() -> None:
    made = load_tiny_encoder("mini-tiny", Weights(seed=0), 64, torch.float32, CPU)
    assert [card.untrained for card in made.cards] == [True]
    with pytest.raises(ConfigError, match="'mini-tiny' only"):
        load_tiny_encoder("taesd", Weights(seed=0), 512, torch.float32, CPU)


def test_the_hub_is_asked_for_what_is_read_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def snapshot_download(repo: str, **arguments: Any) -> str:
        asked.update(repo=repo, **arguments)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    (card,) = load_tiny_encoder("taesd", Weights(), 512, torch.float32, CPU).cards
    assert asked["repo"] == card.source == "madebyollin/taesd"
    assert (card.licence, card.licence_source) == ("MIT", "repository")
    offered = ["config.json", FILE, "diffusion_pytorch_model.bin", "README.md", "taesd_encoder.pth"]
    wanted = list(filter_repo_objects(offered, allow_patterns=asked["allow_patterns"]))
    assert wanted == ["config.json", FILE]


# --- what a recipe says of it


def test_a_recipe_names_it_among_its_models() -> None:
    plain, tiny = (
        load_recipe("mini", overrides).labels
        for overrides in ((), ("labels.refiner.prior.encoder=mini-tiny",))
    )
    assert "encoder" not in [model.role for model in plain.models()]
    (use,) = (model for model in tiny.models() if model.role == "encoder")
    assert (use.name, use.terms.name if use.terms else None) == ("mini-tiny", "Apache-2.0")
    assert plain.digest() != tiny.digest()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"preset": "mini", "encoder": "taesd"}, "gives the latents of 'stable-diffusion-v1-5'"),
        ({"encoder": "tiny"}, "unknown prior.encoder 'tiny'; known: taesd, mini-tiny"),
    ],
)
def test_an_encoder_of_another_prior_is_refused(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Prior.model_validate(settings)


def test_a_prior_encodes_with_it_and_names_it() -> None:
    seeded = Prior(preset="mini", weights=Weights(seed=0))
    with_tiny = seeded.model_copy(
        update={"encoder": "mini-tiny", "encoder_weights": Weights(seed=1)}
    )
    own, tiny = (load_prior(settings, Compute(), CPU) for settings in (seeded, with_tiny))
    alone = load_tiny_encoder("mini-tiny", Weights(seed=1), 64, torch.float32, CPU)
    assert [card.role for card in own.cards] == ["prior"]
    assert [card.role for card in tiny.cards] == ["prior", "encoder"]
    assert torch.equal(tiny.encode(picture(), noise()), alone.encode(picture(), noise()))
    assert not torch.equal(tiny.encode(picture(), noise()), own.encode(picture(), noise()))


def test_an_encoder_whose_latents_do_not_fit_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    wrong = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 3,
        decoder_block_out_channels=(8,) * 3,
        num_encoder_blocks=(0, 0, 1),
        num_decoder_blocks=(1, 1, 1),
        latent_channels=4,
    )
    wrong.save_pretrained(tmp_path)
    settings = Prior(
        preset="mini",
        weights=Weights(seed=0),
        encoder="mini-tiny",
        encoder_weights=Weights(folder=str(tmp_path)),
    )
    with pytest.raises(ConfigError, match=r"4 x 16 x 16.*16 x 16 x 16"):
        load_prior(settings, Compute(), CPU)


def test_a_copy_without_the_weights_says_which(tmp_path: Path, folder: Path) -> None:
    shutil.copy(folder / "config.json", tmp_path / "config.json")
    with pytest.raises(ConfigError, match=r"diffusion_pytorch_model\.safetensors"):
        from_folder(tmp_path)
