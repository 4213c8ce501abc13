"""docs/training.md is what the settings models of the training methods say now, and says it all."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.write_training_reference import training_reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == training_reference(), "run: make docs"


def test_every_setting_says_what_it_means() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| ([^|]*) \|$", training_reference(), flags=re.MULTILINE)
    assert len(rows) > 50
    assert [name for name, meaning in rows if not meaning.strip()] == []


def test_every_group_has_a_section_of_its_own() -> None:
    titles = re.findall(r"^## (.*)$", training_reference(), flags=re.MULTILINE)
    assert len(titles) == len(set(titles))
    assert "`optimiser`, `redepth train sharpdepth`" in titles
    assert "`data` with `kind: dataset`, `redepth train betterdepth`" in titles
