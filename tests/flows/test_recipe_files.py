"""Recipes as text: what is shown is the recipe again, and answers become one that fits them."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.recipe_files import Quality, Wishes, choose, new_recipe, recipe_text, remarks
from redepth.config import load_recipe, shipped_recipes
from redepth.errors import ConfigError

EVERY_WISH = [
    Wishes(*answers) for answers in product((True, False), (True, False), Quality, (True, False))
]


@pytest.mark.parametrize("name", shipped_recipes())
def test_what_is_shown_is_the_same_recipe(name: str, tmp_path: Path) -> None:
    shown = tmp_path / "shown.yaml"
    shown.write_text(recipe_text(name))
    assert load_recipe(str(shown)) == load_recipe(name)


def test_every_value_says_where_it_comes_from() -> None:
    text = recipe_text("mini", ["labels.refiner.num_steps=7", "labels.storage={dtype: float16}"])
    lines = {line.strip() for line in text.splitlines()}
    assert {
        "seed: 0  # default",
        "num_members: 3  # mini",
        "num_steps: 7  # --set",
        "dtype: float16  # --set",
    } <= lines
    assert all("  # " in line for line in lines if not line.startswith("#") and line[-1] != ":")


@pytest.mark.parametrize("wishes", EVERY_WISH, ids=str)
def test_a_new_recipe_is_what_was_wished(wishes: Wishes, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(new_recipe(wishes, "on"))  # a word that YAML would read as true
    recipe = load_recipe(str(path))
    assert recipe.name == "on"
    assert recipe.labels.coarse_model.kind.is_metric is wishes.metric
    assert (recipe.run.actors.num_gpus > 0) is wishes.gpu
    assert (recipe.labels.compute.device == "cpu") is not wishes.gpu
    terms = [model.terms for model in recipe.labels.models()]
    assert all(licence is not None for licence in terms)
    if wishes.commercial:
        assert not any(licence.non_commercial for licence in terms if licence is not None)
    assert len(remarks(wishes, recipe)) >= len(terms)


def test_more_quality_on_a_gpu_is_other_labels() -> None:
    for metric, commercial in product((True, False), (True, False)):
        chosen = [choose(Wishes(metric, True, quality, commercial)) for quality in Quality]
        assert len({load_recipe(*one).labels.digest() for one in chosen}) == len(Quality)


class TestCommand:
    def test_questions_are_asked(self, tmp_path: Path) -> None:
        out = tmp_path / "mine.yaml"
        command = ["recipes", "new", "--out", str(out)]
        done = CliRunner().invoke(app, command, input="n\ny\ngood\ny\n")
        assert done.exit_code == 0, done.output
        assert load_recipe(str(out)).labels == load_recipe("redepth-anything-fast").labels
        assert f"--recipe {out}" in done.output

    def test_a_file_that_is_there_stays(self, tmp_path: Path) -> None:
        out = tmp_path / "mine.yaml"
        out.write_text("mine")
        options = ["--relative", "--cpu", "--quality", "fast", "--commercial", "--out", str(out)]
        done = CliRunner().invoke(app, ["recipes", "new", *options])
        assert isinstance(done.exception, ConfigError)
        assert out.read_text() == "mine"

    def test_one_is_printed(self) -> None:
        done = CliRunner().invoke(app, ["recipes", "show", "mini"])
        assert (done.exit_code, done.output) == (0, recipe_text("mini"))
