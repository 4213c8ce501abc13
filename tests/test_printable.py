"""Text from strangers: what is shown of it is letters, whatever was in it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from redepth.printable import code_span, one_line, printable

ANY_TEXT = st.text(st.characters(exclude_categories=()))
HOSTILE = "\x1b[31m\x00\x9b2J\u202egpj.\u2066\ud800\r\nerror: forged"


@given(ANY_TEXT)
@example(HOSTILE)
def test_printable_text_moves_no_cursor_and_can_be_encoded(text: str) -> None:
    for shown in (printable(text), one_line(text)):
        shown.encode()
        assert not [c for c in shown if c not in "\n\t" and (ord(c) < 32 or 127 <= ord(c) < 160)]
        assert set(shown).isdisjoint("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert len(one_line(text).splitlines()) <= 1
    assert one_line(one_line(text)) == one_line(text)


def test_letters_of_all_the_world_are_kept() -> None:
    text = "Zoë, 東京, مرحبا, \N{FAMILY}\u200d\N{WOMAN}"
    assert printable(text) == one_line(text) == text
    assert printable("a\n\tb\r\nc") == "a\n\tb\nc"
    assert one_line("a\n\tb\r\nc") == "a b c"


def test_a_long_line_is_cut() -> None:
    assert one_line("x" * 100, 10) == "xxxxxxx..."


@given(ANY_TEXT)
@example("`x\\| ![](http://evil/a.png) |")
@example("``[a](http://evil)``")
@example("# head <img src=x onerror=alert(1)> http://evil www.evil.com a@b.com")
def test_a_code_span_is_letters_alone(text: str) -> None:
    span = code_span(text)
    page = f"| a | b |\n|---|---|\n| x | {span} |\n\n- {span}\n\nwords {span} end\n"
    tokens = MarkdownIt("gfm-like", {"linkify": False}).enable("table").parse(page)
    inline = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inline} <= {"text", "code_inline"}
    assert {t.type.partition("_")[0] for t in tokens} <= {
        "table", "thead", "tbody", "tr", "th", "td", "inline", "bullet", "list", "paragraph"
    }  # fmt: skip
    assert sum(token.type == "td_open" for token in tokens) == 2


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_nothing_has_no_code_span(text: str) -> None:
    assert code_span(text) == ""


def test_rich_prints_it_on_one_line() -> None:
    console = Console(width=200, record=True)
    console.print(one_line(HOSTILE), markup=False, soft_wrap=True)
    assert console.export_text().count("\n") == 1
