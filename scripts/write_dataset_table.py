"""Write the table of depth data sets in docs/datasets.md, from redepth/datasets.

python scripts/write_dataset_table.py docs/datasets.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from redepth.datasets import datasets

FIRST = "<!-- Written by scripts/write_dataset_table.py (make docs); do not edit. -->\n"
LAST = "<!-- End of the table. -->\n"
HEAD = "`--dataset-format`", "depth files", "photographs", "unit", "scored", "edges"


def dataset_table() -> str:
    """Return a row for each data set of redepth's own."""
    rows: list[Sequence[str]] = [HEAD, ["---"] * len(HEAD)]
    for name, dataset in datasets.own.items():
        photographs = f"`{dataset.photographs[0]}`"
        edges = "yes" if dataset.has_edges else ""
        rows.append((f"`{name}`", dataset.files, photographs, dataset.unit, dataset.scored, edges))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def with_table(page: str) -> str:
    """Return a page whose table is the one that the data sets make now."""
    before, _, rest = page.partition(FIRST)
    _, last, after = rest.partition(LAST)
    if not last:
        raise ValueError(f"the page lacks the lines {FIRST!r} and {LAST!r}")
    return f"{before}{FIRST}\n{dataset_table()}\n{LAST}{after}"


def main() -> None:
    """Run the command line: one argument, the page to change."""
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/write_dataset_table.py docs/datasets.md")
    page = Path(sys.argv[1])
    page.write_text(with_table(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
