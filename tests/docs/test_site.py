"""The docs site: its navigation, its links, a strict build, and nothing loaded from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from scripts.site_pages import linked_files, navigation, rewritten, shelf_page, site_link
from tests.docs.markdown_pages import PAGES, ROOT

# What a browser fetches by itself; a link that a reader clicks is not among them.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
NOT_FETCHED = {"canonical", "next", "prev"}


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("cost.md", "models.md#what-decides", "models.md#what-decides"),
        ("cost.md", "#a-million-images", "#a-million-images"),
        ("cost.md", "https://docs.ray.io", "https://docs.ray.io"),
        ("cost.md", "../configs/mini.yaml", "repository/configs/mini.yaml.md"),
        ("cost.md", "../ARCHITECTURE.md#decisions", "repository/ARCHITECTURE.md#decisions"),
        ("results/lab.md", "../../configs/mini.yaml", "../repository/configs/mini.yaml.md"),
        ("results/lab.md", "../images/lab-changes.png", "../images/lab-changes.png"),
        ("repository/ARCHITECTURE.md", "docs/conventions.md#kinds", "../conventions.md#kinds"),
        ("repository/ARCHITECTURE.md", "flows/cli.py", "flows/cli.py.md"),
    ],
)
def test_a_link_leads_to_the_same_file_on_the_site(page: str, link: str, expected: str) -> None:
    assert site_link(link, page) == expected


def test_links_in_code_are_left_alone() -> None:
    text = "[a](../configs/mini.yaml)\n\n```text\n[b](../configs/mini.yaml)\n```\n"
    assert rewritten(text, "cost.md").count("repository/") == 1


def test_the_navigation_holds_every_page_once() -> None:
    groups = [pages for section in navigation(PAGES["docs/index.md"]) for pages in section.values()]
    listed = [link for pages in groups for page in pages for link in page.values()]
    own = [link for link in listed if not link.startswith("repository/")]
    assert sorted(own) == sorted(set(own))
    assert {f"docs/{link}" for link in own} == {p for p in PAGES if p.startswith("docs/")} - {
        "docs/index.md"
    }


def test_files_that_pages_link_to_become_pages() -> None:
    names = linked_files(ROOT)
    assert {"configs/mini.yaml", "ARCHITECTURE.md", "infra"} <= names
    assert all((ROOT / name).exists() for name in names)
    assert shelf_page(ROOT / "configs" / "mini.yaml", "configs/mini.yaml").count("````") == 2
    assert "- `ray/aws.yaml`" in shelf_page(ROOT / "infra", "infra")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make site` does. (With --quiet, mkdocs is not strict.)"""
    out = tmp_path_factory.mktemp("site")
    found = build("-f", str(ROOT / "mkdocs.yml"), "-d", str(out))
    assert found.returncode == 0, found.stderr
    return out


def build(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", *arguments]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_strict_build_has_every_page_and_file(site: Path) -> None:
    for page in PAGES:
        if page.startswith("docs/"):
            assert (site / page.removeprefix("docs/")).with_suffix(".html").is_file()
    assert "redepth_anything" in (site / "repository/configs/mini.yaml.html").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("link", ["gone.md", "models.md#gone", "../gone.py"])
def test_the_strict_build_refuses_a_link_that_leads_nowhere(link: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (tmp_path / "docs" / "cost.md").open("a", encoding="utf-8") as page:
        page.write(f"\n[nowhere]({link})\n")
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    config["hooks"] = [str(ROOT / "scripts" / "site_pages.py")]
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    found = build("-f", str(tmp_path / "mkdocs.yml"), "-d", str(tmp_path / "site"))
    assert found.returncode != 0
    assert "gone" in found.stderr


class Fetches(HTMLParser):
    """Collect what a browser would fetch for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in FETCHED and values.get("rel") not in NOT_FETCHED:
            self.urls.append(values.get(FETCHED[tag]) or "")


def fetches(html: str) -> list[str]:
    parser = Fetches()
    parser.feed(html)
    return parser.urls


def elsewhere(url: str) -> bool:
    return url.startswith(("http:", "https:", "//"))


@pytest.mark.slow
def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert [url for url in fetches(text) if elsewhere(url)] == [], page
        assert 'class="mermaid"' not in text, "the theme fetches a script to draw it"
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        found = re.findall(r"(?:url\(|@import )['\"]?([^)'\"]+)", text)
        assert [url for url in found if elsewhere(url)] == [], sheet


def test_a_font_from_elsewhere_is_found() -> None:
    page = '<link rel="stylesheet" href="https://fonts.googleapis.com/css?family=Roboto">'
    assert [url for url in fetches(page) if elsewhere(url)] != []
    assert fetches('<link rel="canonical" href="https://example.org">') == []
