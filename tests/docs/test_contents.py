"""Every page is listed in docs/index.md, begins with its question, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from tests.docs.markdown_pages import PAGES, links, resolves, without_blocks

INDEX = PAGES["docs/index.md"]
DOCS = sorted(set(PAGES) - {"docs/index.md"})
QUESTIONS = [name for name in DOCS if name.startswith("docs/")]
# Who asks one of these opens the page that the first link leads to.
TEN_QUESTIONS = {
    "Which recipe gives metres?": ("models.md", "need metres"),
    "How much GPU memory do I need?": ("cost.md#how-much-gpu-memory", "GB"),
    "How do I resume after a crash?": ("resuming.md", "Run the same command again"),
    "How do I label photographs in S3?": ("s3.md", "redepth label s3://"),
    "What does `fell_back` mean?": ("labels.md#the-four-outcomes", "`fell_back`"),
    "How do I train on labels in PyTorch?": ("torch.md", "DataLoader"),
    "How do I read the confidence?": ("labels.md#how-to-read-the-confidence", "not a probability"),
    "How do I add my own coarse model?": ("extending.md", "CoarseModel"),
    "What does a million images cost?": ("cost.md#a-million-images", "GPU"),
    "May I sell a model trained on labels?": ("licences.md", "non-commercial"),
}


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_resolves(page: str) -> None:
    assert [link for link in links(PAGES[page]) if not resolves(page, link)] == []


def test_a_link_to_nothing_and_to_a_heading_that_is_gone_is_found() -> None:
    assert resolves("README.md", "docs/index.md")
    assert not resolves("README.md", "docs/no-such-page.md")
    assert not resolves("README.md", "docs/index.md#no-such-heading")


def test_the_contents_list_every_page() -> None:
    listed = {str(PurePosixPath("docs") / link.partition("#")[0]) for link in links(INDEX)}
    assert set(QUESTIONS) - listed == set()


@pytest.mark.parametrize("page", QUESTIONS)
def test_a_page_begins_with_the_question_that_it_answers(page: str) -> None:
    first, *_ = PAGES[page].splitlines()
    assert re.fullmatch(r"# .+\?", first), first


@pytest.mark.parametrize("page", QUESTIONS)
def test_a_page_has_one_title(page: str) -> None:
    assert len(re.findall(r"^# ", without_blocks(PAGES[page]), flags=re.MULTILINE)) == 1


@pytest.mark.parametrize(("question", "answer"), TEN_QUESTIONS.items())
def test_the_contents_lead_to_the_answer(question: str, answer: tuple[str, str]) -> None:
    link, said = answer
    assert f"[{question}]({link})" in INDEX
    page, _, anchor = link.partition("#")
    assert said in section(PAGES[f"docs/{page}"], anchor)


def section(text: str, anchor: str) -> str:
    """Return what is below a heading, up to the next one; without an anchor, the first screen."""
    if not anchor:
        return "\n".join(text.splitlines()[:60])
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    title = anchor.replace("-", "[^a-z0-9]+")
    (found,) = (part for part in parts if re.match(rf"## {title}\W*\n", part, re.IGNORECASE))
    return found
