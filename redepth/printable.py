"""Text from strangers as a person may see it: no character of it does anything but show itself.

Ids, captions, file names and reasons come from lists, folders and exceptions. In a terminal an
escape sequence moves the cursor, in a log a line break forges a line, in Markdown a name becomes a
picture that the reader's browser fetches.
"""

from __future__ import annotations

import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# C0 and C1 controls (ESC among them), the overrides and isolates that turn the order of letters
# round, and halves of surrogate pairs, which no encoder takes. Line ends and tabs are said apart.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_ENDS = re.compile("[\t\n\r\x0b\x0c\x85\u2028\u2029]+")


def printable(text: str) -> str:
    """Put U+FFFD for every character that is an order and no letter; keep line feeds and tabs."""
    if text.isprintable():
        return text
    return _UNPRINTABLE.sub(REPLACEMENT, text.replace("\r\n", "\n"))


def one_line(text: str, max_chars: int | None = None) -> str:
    """Return printable text as one line, cut with "..." where it is longer than `max_chars`."""
    if not text.isprintable():
        text = printable(_LINE_ENDS.sub(" ", text))
    if max_chars is not None and len(text) > max_chars:
        return text[: max_chars - 3] + "..."
    return text


def code_span(text: str) -> str:
    """Return text as Markdown that shows it letter by letter, in a table's cell too.

    In a code span no dialect knows links, pictures, headings or HTML. What could end the span or
    the cell has a look-alike put for it: dialects disagree on how to escape these.
    """
    line = one_line(text).replace("`", "'").replace("|", "\N{BROKEN BAR}").strip()
    return f"`{line}`" if line else ""
