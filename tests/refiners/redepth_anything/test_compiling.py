"""The compiled prior: equal to the plain one, compiled once for all images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from redepth.coarse.estimator import load_token_estimator
from redepth.coarse.part import Coarse
from redepth.errors import ConfigError
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.refiners.redepth_anything.compiling import compile_prior
from redepth.refiners.redepth_anything.diffusion import DiffusionPrior
from redepth.refiners.redepth_anything.picture_encoder import PosteriorEncoder, memory_format_on
from redepth.refiners.redepth_anything.refiner import ReDepthAnythingRefiner
from redepth.refiners.refiner import RefinementInput
from redepth.settings import Weights
from redepth.types import ModelCard
from tests.refiners.redepth_anything.tiny_networks import tiny_prior

CPU = torch.device("cpu")
CARD = ModelCard("prior", "tiny", "seed 0", None, "0" * 64, "none", untrained=True)
SETTINGS = ReDepthAnything(num_members=2, members_per_batch=2, num_steps=2, noise_draws=2)
# Traces as the real one does and then runs torch's own operations: needs no compiler, and rounds as
# the plain way does.
BACKEND = "eager"


@pytest.fixture(autouse=True)
def _forget_what_was_compiled() -> Iterator[None]:
    yield
    torch.compiler.reset()


def new_prior() -> DiffusionPrior:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = tiny_prior(torch.float32)
    encoder = PosteriorEncoder(parts.vae, 16, torch.float32, CPU)
    return DiffusionPrior(parts, encoder, CARD, 16, torch.float32, CPU)


def refine(prior: DiffusionPrior, height_px: int, width_px: int) -> np.ndarray:
    """Refine a picture of this size."""
    coarse = Coarse(preset="mini", weights=Weights(seed=0), size_px=40)
    estimator = load_token_estimator(coarse, CPU)
    picture = np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    refiner = ReDepthAnythingRefiner(SETTINGS, 0, estimator, prior, None, CPU)
    scene = RefinementInput("a", picture, estimator.estimate(picture), "a photograph")
    return refiner.refine(scene).maps_ehw


@pytest.mark.slow
def test_a_compiled_prior_refines_as_the_plain_one_and_compiles_once_for_all_shapes() -> None:
    """Photographs of two shapes."""
    compiled = new_prior()
    compile_prior(compiled, SETTINGS, CPU, BACKEND)
    for size in ((32, 40), (40, 32)):
        expected = refine(new_prior(), *size)
        with torch.compiler.set_stance("fail_on_recompile"):
            found = refine(compiled, *size)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_every_batch_of_the_recipe_is_compiled_before_the_first_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []

    def recorded(function: Callable[..., torch.Tensor], **_: object) -> Any:
        def run(first: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
            sizes.append(len(first))
            return function(first, *others)

        return run

    monkeypatch.setattr(torch, "compile", recorded)
    settings = ReDepthAnything(num_members=5, members_per_batch=3, noise_draws=2)
    compile_prior(new_prior(), settings, CPU)
    assert sizes == [3, 12, 2, 8]


def test_where_torch_cannot_compile_the_recipe_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"labels\.refiner\.compile is true, and torch cannot"):
        compile_prior(new_prior(), SETTINGS, CPU, "no such backend")


def test_convolutions_have_their_channels_last_on_a_gpu_alone() -> None:
    assert memory_format_on(torch.device("cuda")) is torch.channels_last
    assert memory_format_on(CPU) is torch.preserve_format


def test_channels_last_changes_no_number_but_by_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = refine(new_prior(), 32, 40)
    for module in ("diffusion", "picture_encoder"):
        monkeypatch.setattr(
            f"redepth.refiners.redepth_anything.{module}.memory_format_on",
            lambda device: torch.channels_last,
        )
    prior = new_prior()
    assert prior._unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(refine(prior, 32, 40), expected, rtol=1e-3, atol=1e-3)


def test_attention_is_fused_in_unet_and_vae() -> None:
    """diffusers chooses torch's scaled_dot_product_attention where there is one."""
    parts = tiny_prior(torch.float32)
    names = {
        type(processor).__name__
        for network in (parts.unet, parts.vae)
        for processor in network.attn_processors.values()
    }
    assert names == {"AttnProcessor2_0"}
