"""All Markdown pages of the project, and what a page holds: blocks, commands, links, anchors."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_RUN = "<!-- not run -->"


def page_names() -> list[str]:
    """Return the pages at the root and below docs/, relative to the root."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in page_names()}


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced code blocks of a language, without those right below `<!-- not run -->`."""
    text = re.sub(rf"^{NOT_RUN}\n```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def without_blocks(text: str) -> str:
    """Return a page without its fenced code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def command_lines(text: str) -> list[list[str]]:
    """Return every command of the bash blocks as words, comments left out."""
    lines = (
        line for block in blocks(text, "bash") for line in block.replace("\\\n", " ").splitlines()
    )
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def links(text: str) -> list[str]:
    """Return the targets of links and pictures that lie in the repository."""
    found = re.findall(r"\]\(([^()\s]+)\)", without_blocks(text))
    return [link for link in found if not link.startswith(("http://", "https://"))]


def resolves(page: str, link: str) -> bool:
    """Say whether a link of a page leads to a file that is there, and to a heading in it."""
    name, _, anchor = link.partition("#")
    target = (ROOT / page).parent / name if name else ROOT / page
    if not target.exists():
        return False
    return not anchor or anchor in anchors(target.read_text(encoding="utf-8"))


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, made as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
