"""Write the table of export formats into a page, between its two marks.

python scripts/write_export_formats.py docs/using-labels.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from redepth.exports import exporters
from redepth.exports.part import ExportFormat
from redepth.quantities import REFINED

BEGIN = "<!-- Written by scripts/write_export_formats.py (make docs); do not edit. -->\n"
END = "<!-- end -->\n"
HEAD = "| format | files | numbers | invalid | precision | settings |\n|---|---|---|---|---|---|\n"


def with_table(page: str) -> str:
    """Return a page with the table as it is now. Raises ValueError: the marks are not there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected {BEGIN!r} and {END!r}")
    rows = "".join(_row(exporter) for exporter in exporters.own.values())
    return f"{before}{BEGIN}\n{HEAD}{rows}\n{END}{after}"


def _row(exporter: ExportFormat) -> str:
    numbers = exporter.describe(REFINED)
    settings = "; ".join(
        f"`{name}`{_default(field.default)}: {field.description}"
        for name, field in exporter.settings.model_fields.items()
    )
    said = (numbers["type"], numbers["invalid"], numbers["precision"])
    return f"| `{exporter.name}` | {exporter.files} | {' | '.join(map(str, said))} | {settings} |\n"


def _default(value: Any) -> str:
    """Say a default as `--set` takes it; nothing of a setting that has none."""
    return "" if value is None else f" ({str(value).lower().removesuffix('.0')})"


def main() -> None:
    """Run the command line: one argument, the page."""
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/write_export_formats.py docs/using-labels.md")
    page = Path(sys.argv[1])
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
