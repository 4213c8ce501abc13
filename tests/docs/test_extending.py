"""The page on plug-ins shows the example as it is, and the example is short."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "plug_in"
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


def test_the_page_shows_the_files_of_the_example() -> None:
    for language, names in (
        (
            "python",
            ("redepth_sketch/__init__.py", "redepth_sketch/pfm.py", "redepth_sketch/measured.py"),
        ),
        ("toml", ("pyproject.toml",)),
        ("yaml", ("sketch.yaml",)),
    ):
        shown = re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
        assert shown == [(EXAMPLE / name).read_text(encoding="utf-8") for name in names]
