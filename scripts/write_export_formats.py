"""Write the table of export formats into a page, between its two marks.

python scripts/write_export_formats.py docs/exporting.md
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
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
    first = _first_with()
    rows = "".join(_row(exporter, first) for exporter in exporters.own.values())
    return f"{before}{BEGIN}\n{HEAD}{rows}\n{END}{after}"


def _row(exporter: ExportFormat, first: Mapping[str, str]) -> str:
    """Return a format's row; a setting is explained in the row of the first format that has it."""
    numbers = exporter.describe(REFINED)
    settings: list[str] = []
    elsewhere: dict[str, list[str]] = {}
    for name, field in exporter.settings.model_fields.items():
        if first[name] == exporter.name:
            settings.append(f"`{name}`{_default(field.default)}: {field.description}")
        else:
            elsewhere.setdefault(first[name], []).append(f"`{name}`")
    settings += [f"{', '.join(names)}: see `{other}`" for other, names in elsewhere.items()]
    said = (numbers["type"], numbers["invalid"], numbers["precision"])
    cells = (f"`{exporter.name}`", exporter.files, *map(str, said), "; ".join(settings))
    return f"| {' | '.join(cells)} |\n"


def _first_with() -> dict[str, str]:
    """Return of each setting the first format that has it."""
    first: dict[str, str] = {}
    for exporter in exporters.own.values():
        for name in exporter.settings.model_fields:
            first.setdefault(name, exporter.name)
    return first


def _default(value: Any) -> str:
    """Say a default as `--set` takes it; nothing of a setting that has none."""
    return "" if value is None else f" ({str(value).lower().removesuffix('.0')})"


def main() -> None:
    """Run the command line: one argument, the page."""
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/write_export_formats.py docs/exporting.md")
    page = Path(sys.argv[1])
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
