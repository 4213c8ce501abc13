"""docs/evaluation.md and docs/datasets.md explain everything that can be chosen."""

from __future__ import annotations

import re
from pathlib import Path

from redepth.datasets import datasets
from redepth.evaluation.scores import TITLES
from redepth.metrics.alignments import Alignment
from scripts.write_dataset_table import with_table

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "evaluation.md").read_text(encoding="utf-8")
DATASETS = (DOCS / "datasets.md").read_text(encoding="utf-8")


def first_cells(page: str = PAGE) -> set[str]:
    """Return the first cells of all tables, without code marks and remarks."""
    cells = re.findall(r"^\| ([^|]+?) \|", page, flags=re.MULTILINE)
    return {re.sub(r"`| \(default\)", "", cell) for cell in cells}


def test_the_table_of_data_sets_is_up_to_date() -> None:
    assert with_table(DATASETS) == DATASETS, "run: make docs"
    assert set(datasets.own) <= first_cells(DATASETS)


def test_every_alignment_has_its_line() -> None:
    assert set(Alignment) <= first_cells()


def test_every_figure_is_explained() -> None:
    words = " ".join(first_cells())
    for title in TITLES.values():
        name = title.rstrip(" ↓↑").removesuffix(" (px)").removesuffix(" (deg)")
        explained = name.removeprefix("edge ") if name.startswith("edge") else name
        assert explained in words or explained.startswith("δ"), title
