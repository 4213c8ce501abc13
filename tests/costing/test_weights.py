"""What plan and doctor say of downloads and GPU memory."""

from __future__ import annotations

import pytest

from redepth.coarse import coarse_models
from redepth.config import load_recipe, shipped_recipes
from redepth.costing.weights import download_words, gpu_memory_words
from redepth.refiners.redepth_anything import PRIORS
from redepth.settings import HubWeights


def test_the_download_names_each_model_and_its_size() -> None:
    words = download_words(load_recipe("redepth-anything-fast"))
    assert "depth-anything-v2-small 0.10 GB" in words
    assert "stable-diffusion-v1-5 4.26 GB" in words
    assert "blip of unknown size" in words


def test_a_variant_of_16_bits_is_half_the_size() -> None:
    half = ("labels.refiner.prior.weights.variant=fp16",)
    words = download_words(load_recipe("redepth-anything-fast", half))
    assert "stable-diffusion-v1-5 2.13 GB" in words


def test_weights_of_ones_own_have_no_size() -> None:
    own = (
        "labels.coarse.weights.repo=somebody/other",
        "labels.coarse.weights.revision=abc",
    )
    assert download_words(load_recipe("coarse", own)).startswith(
        "depth-anything-v2-small of unknown size"
    )


@pytest.mark.parametrize("name", [name for name in shipped_recipes() if "mini" in name])
def test_the_small_models_ask_for_nothing(name: str) -> None:
    recipe = load_recipe(name)
    assert download_words(recipe) == "none: no weights come from the hub"
    assert gpu_memory_words(recipe) == "none: runs on CPUs"


@pytest.mark.parametrize(("members", "words"), [(1, "4.3 GB"), (2, "8.1 GB"), (10, "21.7 GB")])
def test_memory_is_that_of_the_next_number_of_members_that_was_measured(
    members: int, words: str
) -> None:
    settings = (f"labels.refiner.members_per_batch={members}", "labels.refiner.num_members=10")
    assert words in gpu_memory_words(load_recipe("redepth-anything-fast", settings))


def test_without_a_measurement_it_is_the_weights_alone() -> None:
    assert gpu_memory_words(load_recipe("coarse")).startswith(
        "not measured; the weights take 0.1 GB"
    )


def test_counts_are_those_that_are_known_of_the_models() -> None:
    """Millions of parameters as their authors state them."""
    stated = {
        "depth-anything-v2-small": 24.8,
        "depth-anything-v2-base": 97.5,
        "depth-anything-v2-large": 335.3,
        "depth-pro": 952,
    }
    for name, millions in stated.items():
        weights = coarse_models[name].weights
        assert isinstance(weights, HubWeights)
        assert weights.num_parameters == pytest.approx(millions * 1e6, rel=2e-3)
    prior = PRIORS["stable-diffusion-v1-5"].weights
    assert isinstance(prior, HubWeights)
    assert prior.num_parameters == pytest.approx(1.066e9, rel=2e-3)
