"""The hooks of the docs site (mkdocs.yml): its contents, and the files that pages link to.

docs/index.md is the one list of pages: its headings and links become the navigation. A link out of
docs/, such as `../configs/mini.yaml`, works where the repository is browsed. For the site, the file
it names becomes a page below `repository/`, and the link leads there. No address of a repository is
needed.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[1]
SHELF = "repository"
INDEX = "index.md"
SKIPPED_HEADING = "Ten common questions"
LINK = re.compile(r"(?<=\]\()([^()\s]+)(?=\))")
LISTED = re.compile(r"\[([^\]]+)\]\(([^()#\s]+)\)")
FENCED = re.compile(r"(^```.*?^```)", flags=re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".sh": "bash"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the navigation from docs/index.md, and anchors as GitHub makes them."""
    index = (Path(config.docs_dir) / INDEX).read_text(encoding="utf-8")
    config.nav = [{"Contents": INDEX}, *navigation(index)]
    config.mdx_configs.setdefault("toc", {})["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file of the repository that a page links to, directly or not."""
    for name in sorted(linked_files(ROOT)):
        content = shelf_page(ROOT / name, name)
        files.append(File.generated(config, shelf_name(name), content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links out of docs/ to the pages below `repository/`."""
    return rewritten(markdown, page.file.src_uri)


def navigation(index: str) -> list[dict[str, list[dict[str, str]]]]:
    """Return the sections of docs/index.md with their links: title -> page."""
    sections = []
    for part in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        if heading != SKIPPED_HEADING:
            pages = [{title: site_link(link, INDEX)} for title, link in LISTED.findall(body)]
            sections.append({heading: pages})
    return sections


def rewritten(markdown: str, page: str) -> str:
    """Return a page of the site with its links as they are there; code is left alone."""
    parts = FENCED.split(markdown)
    parts[::2] = [LINK.sub(lambda found: site_link(found[1], page), part) for part in parts[::2]]
    return "".join(parts)


def site_link(link: str, page: str) -> str:
    """Return a link of a page as it is on the site.

    Args:
        link: as the Markdown has it.
        page: the page below docs/, or `repository/NAME` for one from elsewhere.
    """
    path, mark, anchor = link.partition("#")
    if not path or "://" in path:
        return link
    target = repository_path(path, page)
    inside = target.removeprefix("docs/") if target.startswith("docs/") else shelf_name(target)
    return os.path.relpath(inside, PurePosixPath(page).parent) + mark + anchor


def repository_path(path: str, page: str) -> str:
    """Return what a link of a page names, relative to the repository's root."""
    shelved = page.startswith(f"{SHELF}/")
    home = page.removeprefix(f"{SHELF}/") if shelved else f"docs/{page}"
    return os.path.normpath(PurePosixPath(home).parent / path)


def shelf_name(name: str) -> str:
    """Return the page of the site for a file or folder of the repository."""
    return f"{SHELF}/{name}" if name.endswith(".md") else f"{SHELF}/{name}.md"


def linked_files(root: Path) -> set[str]:
    """Return what pages link to outside docs/, and what these files link to in turn."""
    docs = root / "docs"
    seen: set[str] = set()
    waiting = [(path.relative_to(docs).as_posix(), path) for path in docs.rglob("*.md")]
    while waiting:
        page, path = waiting.pop()
        for name in set(outside(path.read_text(encoding="utf-8"), page)) - seen:
            seen.add(name)
            if name.endswith(".md"):
                waiting.append((shelf_name(name), root / name))
    return seen


def outside(markdown: str, page: str) -> Iterable[str]:
    """Yield what a page links to outside docs/."""
    for part in FENCED.split(markdown)[::2]:
        for link in LINK.findall(part):
            path = link.partition("#")[0]
            if path and "://" not in path:
                target = repository_path(path, page)
                if not target.startswith("docs/"):
                    yield target


def shelf_page(path: Path, name: str) -> str:
    """Return a file or folder of the repository as Markdown. Raises OSError: it is not there."""
    if path.is_dir():
        names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*"))
        kept = [n for n in names if "__pycache__" not in n and (path / n).is_file()]
        return f"# {name}\n\n" + "".join(f"- `{n}`\n" for n in kept)
    text = path.read_text(encoding="utf-8")
    if name.endswith(".md"):
        return text
    language = LANGUAGES.get(PurePosixPath(name).suffix, "text")
    return f"# {name}\n\n````{language}\n{text}\n````\n"
