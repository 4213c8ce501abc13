"""What the pages tell to start asks for a secret, as what lies under infra/ does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What is started, and what has to be said with it, in the line or in the block of code around it.
ASKS = {
    "ray start": r"RAY_AUTH_MODE=token",
    "prefect server start": r"PREFECT_SERVER_API_AUTH_STRING=|PREFECT_SERVER_UI_API_URL=",
}
TO_ALL = r"--(dashboard-)?host[ =]0\.0\.0\.0"


def commands(page: Path) -> list[str]:
    """Return the blocks of code of a page, and the code within its lines."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return [
        *blocks,
        *re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)),
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_starts_what_lets_in_everybody(page: Path) -> None:
    for command in commands(page):
        assert not re.search(TO_ALL, command), command
        for start, asks in ASKS.items():
            # A name alone, in a sentence, is no command.
            if start in command and command.strip() != start:
                assert re.search(asks, command), command


def test_the_pages_start_something() -> None:
    found = "\n".join(command for page in PAGES for command in commands(page))
    assert all(start in found for start in ASKS)
