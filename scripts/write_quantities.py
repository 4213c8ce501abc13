"""Write the table of quantities into a page, between its two marks.

python scripts/write_quantities.py docs/catalogue.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from redepth.quantities import QUANTITIES, Quantity

BEGIN = "<!-- Written by scripts/write_quantities.py (make docs); do not edit. -->\n"
END = "<!-- end -->\n"
HEAD = "| quantity | meaning | unit | in the store | range |\n|---|---|---|---|---|\n"


def with_table(page: str) -> str:
    """Return a page with the table as it is now. Raises ValueError: the marks are not there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected {BEGIN!r} and {END!r}")
    rows = "".join(_row(quantity) for quantity in QUANTITIES.values())
    return f"{before}{BEGIN}\n{HEAD}{rows}\n{END}{after}"


def _row(quantity: Quantity) -> str:
    unit = "that of the kind" if quantity.unit is None else quantity.unit
    stored = "`labels.storage.dtype`" if quantity.is_depth else quantity.dtype
    ends = ["" if end is None else f"{end:g}" for end in quantity.range]
    wide = " to ".join(ends) if all(ends) else f"{ends[0]} and more" if ends[0] else "any"
    return f"| `{quantity.name}` | {quantity.meaning} | {unit} | {stored} | {wide} |\n"


def main() -> None:
    """Run the command line: one argument, the page."""
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/write_quantities.py docs/catalogue.md")
    page = Path(sys.argv[1])
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
