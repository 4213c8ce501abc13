"""The table of quantities in docs/catalogue.md is the one that the code has."""

from __future__ import annotations

from pathlib import Path

from redepth.quantities import QUANTITIES
from scripts.write_quantities import with_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "catalogue.md"


def test_the_page_is_what_make_docs_writes() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page) == page, "run: make docs"


def test_every_quantity_has_a_line() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{name}` | {one.meaning} |" in page for name, one in QUANTITIES.items())
