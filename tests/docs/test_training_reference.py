"""The pages of training settings say what the settings models of the methods say now, all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from redepth.training import METHODS
from scripts.write_training_reference import training_pages

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = training_pages()


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name], "run: make docs"


def test_no_page_of_a_method_that_is_gone_is_left() -> None:
    assert {path.name for path in DOCS.glob("training*.md")} == set(PAGES)
    assert len(PAGES) == len(METHODS) + 1


def test_every_setting_says_what_it_means() -> None:
    text = "\n".join(PAGES.values())
    rows = re.findall(r"^\| `(\w+)` \| .* \| ([^|]*) \|$", text, flags=re.MULTILINE)
    assert len(rows) > 50
    assert [name for name, meaning in rows if not meaning.strip()] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_group_has_a_section_of_its_own(name: str) -> None:
    titles = re.findall(r"^## (.*)$", PAGES[name], flags=re.MULTILINE)
    assert titles
    assert len(titles) == len(set(titles))


def test_groups_of_a_method_are_on_its_page() -> None:
    assert "\n## `optimiser`\n" in PAGES["training-sharpdepth.md"]
    assert "\n## `data` with `kind: dataset`\n" in PAGES["training-betterdepth.md"]
