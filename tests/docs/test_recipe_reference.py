"""docs/recipes.md and docs/presets.md are what the code says now, and say it all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from redepth.coarse import coarse_models
from redepth.config import load_recipe, shipped_recipes
from scripts.write_presets import presets_reference
from scripts.write_recipe_reference import recipe_reference

DOCS = Path(__file__).resolve().parents[2] / "docs"


def settings(values: dict[str, object]) -> set[str]:
    """Return the names of all settings of a dumped recipe, without the groups they are in."""
    names = set()
    for name, value in values.items():
        names |= settings(value) if isinstance(value, dict) else {name}
    return names


def test_the_pages_are_up_to_date() -> None:
    assert (DOCS / "recipes.md").read_text(encoding="utf-8") == recipe_reference(), "run: make docs"
    assert (DOCS / "presets.md").read_text(encoding="utf-8") == presets_reference(), (
        "run: make docs"
    )


def test_every_coarse_model_has_its_row_with_a_licence() -> None:
    rows = re.findall(r"^\| coarse \| `([\w-]+)` .* \| (.+) \|$", presets_reference(), re.MULTILINE)
    assert {name for name, _ in rows} == set(coarse_models.own)
    assert all(licence.strip() for _, licence in rows)


def test_every_setting_says_what_it_means() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| ([^|]*) \|$", recipe_reference(), flags=re.MULTILINE)
    assert len(rows) > 50
    assert [name for name, meaning in rows if not meaning.strip()] == []


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_setting_of_a_recipe_is_explained(name: str) -> None:
    page = recipe_reference()
    explained = set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
    explained |= set(re.findall(r"^## `[\w.]+\.(\w+)`", page, flags=re.MULTILINE))  # absent groups
    assert settings(load_recipe(name).model_dump()) - explained - {"method"} == set()
