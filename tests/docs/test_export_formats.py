"""docs/exporting.md shows the export formats that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from redepth.exports import exporters
from scripts.write_export_formats import with_table

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "exporting.md").read_text("utf-8")


def test_the_table_is_up_to_date() -> None:
    assert with_table(PAGE) == PAGE, "run: make docs"
    assert all(f"| `{name}` |" in PAGE for name in exporters.own)


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="make docs"):
        with_table("no marks")
