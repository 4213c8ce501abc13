"""Which names are passed over, and as what."""

from __future__ import annotations

import pytest

from redepth.images.hidden import APPLE, HIDDEN, TRASH, hidden_kind, names_hidden


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (".a.jpg", HIDDEN),
        (".cache/a.jpg", HIDDEN),
        ("a/.b/c.jpg", HIDDEN),
        ("._a.jpg", APPLE),
        ("a/._b.jpg", APPLE),
        ("__MACOSX/a/b.jpg", APPLE),
        ("__MACOSX\\a.jpg", APPLE),
        ("@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "thumbnails of a Synology"),
        (".@__thumb/a.jpg", "thumbnails of a QNAP"),
        (".Trash/a.jpg", TRASH),
        (".Trash-1000/files/a.jpg", TRASH),
        (".Trashes", TRASH),
        ("$RECYCLE.BIN/a.jpg", TRASH),
        ("$Recycle.Bin/a.jpg", TRASH),
        ("#recycle/a.jpg", TRASH),
        ("a/Thumbs.db", "thumbnails of Windows"),
        ("lost+found/a.jpg", "lost+found"),
        ("a\\.b\\c.jpg", HIDDEN),
    ],
)
def test_a_name_is_passed_over_as(path: str, kind: str) -> None:
    assert hidden_kind(path) == kind


@pytest.mark.parametrize(
    "path",
    ["", ".", "./a.jpg", "../a.jpg", "./a/./b.jpg", "a.jpg", "a/b.c/d.jpg", "_a.jpg", "@a.jpg",
     "$20.jpg", "#1.jpg", "MACOSX/a.jpg", "trash/a.jpg", "a._b.jpg", "/a.jpg", "a//b.jpg"],
)  # fmt: skip
def test_other_names_may_be_photographs(path: str) -> None:
    assert hidden_kind(path) is None


def test_a_glob_can_ask_for_hidden_names() -> None:
    assert names_hidden("/.cache/*.jpg") and names_hidden("*/@eaDir/*.jpg")
    assert names_hidden("/.*/*.jpg") and not names_hidden("/*/./a*.jpg")
