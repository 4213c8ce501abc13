"""What tables can be written as; its own module, since the command line needs it at once."""

from __future__ import annotations

from enum import StrEnum


class TableFormat(StrEnum):
    """What a table is written as."""

    MARKDOWN = "markdown"
    LATEX = "latex"
    JSON = "json"
