"""Recipes: what validates, what is refused in which words, and what a digest depends on."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.config import (
    LabelSettings,
    Recipe,
    RunSettings,
    differences,
    load_recipe,
    shipped_recipes,
)
from redepth.errors import ConfigError
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.settings import Weights


def test_paper_s_constants_are_the_defaults() -> None:
    method = ReDepthAnything()
    assert (method.num_members, method.num_steps) == (10, 1000)
    rates = (
        method.token_learning_rate,
        method.decoder_learning_rate,
        method.scale_learning_rate,
    )
    assert rates == (1e-3, 2e-6, 1e-3)
    assert (method.guidance_scale, method.min_timestep, method.max_timestep) == (50.0, 0.02, 0.6)
    assert (method.weight_decay, method.betas) == (0.01, (0.9, 0.999))
    assert (method.smoothness_weight, method.weighting) == (1.0, "uniform")
    assert (method.shininess_exponents, method.gamma) == ((2, 7), 2.2)


def test_overrides_reach_their_setting() -> None:
    recipe = load_recipe("mini", ["labels.refiner.num_steps=7", "run.actors.num_cpus=0.5"])
    assert isinstance(recipe.labels.refiner, ReDepthAnything)
    assert recipe.labels.refiner.num_steps == 7
    assert recipe.run.actors.num_cpus == 0.5


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("labels.refiner.num_step=3", "labels.refiner.num_step: there is no such setting"),
        ("labels.refiner.num_stps=3", "lists them); did you mean 'labels.refiner.num_steps'?"),
        (
            "labels.num_steps=3",
            "lists them); did you mean 'labels.refiner.num_steps'?",
        ),
        (
            "run.actors.max_failures=x",
            "max_failures: expected a number of images, or a share "
            """such as "2%" (got 'x')""",
        ),
        ("labels.coarse.size_px=small", "labels.coarse.size_px"),
        ("labels.coarse.preset=midas", "no coarse model is called 'midas'; known: "),
        ("labels.refiner.method=magic", "labels.refiner"),
        ("labels.refiner.min_timestep=0.9", "min_timestep is larger"),
        ("labels.coarse.weights.repo=a/b", "need a revision"),
        ("labels.seed.deep=1", "seed is a value, not a group"),
        ("nonsense", "--set takes key.path=value"),
    ],
)
def test_wrong_setting_is_named(override: str, words: str) -> None:
    overrides = ["labels.seed=3", override] if "seed.deep" in override else [override]
    with pytest.raises(ConfigError) as caught:
        load_recipe("mini", overrides)
    assert words in str(caught.value)


def test_a_misspelt_setting_is_guessed_beside_other_mistakes() -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe("mini", ["labels.sed=3", "labels.compute.device=tpu"])
    assert "did you mean 'labels.seed'?" in str(caught.value)
    assert "'auto', 'cpu' or 'cuda' (got 'tpu')" in str(caught.value)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no recipe named 'mini2'.*mini-coarse"):
        load_recipe("mini2")
    with pytest.raises(ConfigError, match="no recipe file"):
        load_recipe(str(tmp_path / "none.yaml"))
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_recipe(str(broken))
    broken.write_text("- a list")
    with pytest.raises(ConfigError, match="must be a mapping"):
        load_recipe(str(broken))


def test_weights_have_one_source() -> None:
    with pytest.raises(ValueError, match="repo, folder or seed"):
        Weights(folder="/models", seed=0)


def test_digest_is_of_the_labels_half_alone() -> None:
    labels = LabelSettings()
    other_run = Recipe(name="b", labels=labels, run=RunSettings.model_validate(
        {"actors": {"num_actors": 7}}))  # fmt: skip
    assert Recipe(name="a", labels=labels).labels.digest() == other_run.labels.digest()
    assert LabelSettings(seed=1).digest() != labels.digest()


@given(seed=st.integers(0, 2**31), size=st.integers(28, 4096))
def test_digest_survives_a_round_trip_through_json(seed: int, size: int) -> None:
    labels = LabelSettings.model_validate({"seed": seed, "coarse": {"size_px": size}})
    again = LabelSettings.model_validate_json(labels.model_dump_json())
    assert again == labels
    assert again.digest() == labels.digest()


def test_differences_name_the_path() -> None:
    old = {"a": {"b": 1, "c": 2}, "d": 3}
    new = {"a": {"b": 1, "c": 5}, "e": 4, "f": {"g": 1}}
    assert differences(old, new) == [
        "a.c: 2 -> 5", "d: 3 -> not set", "e: not set -> 4", "f: not set -> set",
    ]  # fmt: skip


def test_shipped_recipes_say_what_they_are_for() -> None:
    recipes = shipped_recipes()
    assert {"mini", "mini-coarse", "coarse", "redepth-anything"} <= set(recipes)
    assert all(len(purpose) > 20 for purpose in recipes.values())


def test_untrained_and_licences() -> None:
    seeded = load_recipe("mini-coarse", ["labels.coarse.weights.seed=0"])
    assert seeded.is_untrained
    assert seeded.licence_lines() == []
    large = load_recipe("coarse", ["labels.coarse.preset=depth-anything-v2-large"])
    assert not large.is_untrained
    assert large.licence_lines() == ["depth-anything-v2-large: CC-BY-NC-4.0 (non-commercial)"]


def alias_bomb() -> str:
    """Nine levels of nine aliases: 387 million values in 600 bytes."""
    lines = ["name: &a0 x"]
    lines += [f"l{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (alias_bomb(), "it has an alias"),
        ("name: x\nlabels: &a\n  seed: 1\n  <<: *a\n", "it has an alias"),
        ("name: x\nlabels: " + "[" * 100_000, "is not YAML that can be read"),
        ("name: x\nlabels: {seed: " + "9" * 5000 + "}", "is not YAML that can be read"),
        ("name: 2026-13-45", "is not YAML that can be read"),
        ("name: !!python/object/apply:os.getcwd []", "is not YAML that can be read"),
        ("name: x\n#" + "#" * 2**20, "has more than 1,048,576 bytes"),
        ("name: caf\xe9", "is not UTF-8"),
    ],
)
def test_a_recipe_from_a_stranger(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(text.encode("latin-1"))
    tracemalloc.start()
    with pytest.raises(ConfigError, match=said):
        load_recipe(str(path))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 200_000_000


def test_an_override_is_read_as_a_recipe_is() -> None:
    with pytest.raises(ConfigError, match=r"--set labels.seed=\["):
        load_recipe("mini", ["labels.seed=[*a]"])
