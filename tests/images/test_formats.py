"""The table of suffixes: which names are pictures, which extra they need, what is passed over."""

from __future__ import annotations

import pytest

from redepth.images.collection import IMAGE_SUFFIXES
from redepth.images.picture import formats
from redepth.images.picture.formats import (
    HEIC,
    JXL,
    PICTURES,
    UNREAD,
    Extra,
    extra_needed,
    unread_kind,
)


def test_no_suffix_means_two_things() -> None:
    suffixes = [suffix for kind in (*PICTURES, *UNREAD) for suffix in kind.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)


def test_listings_take_what_is_read_extras_included() -> None:
    """A folder of phone pictures ends in rejections that name the extra, not in silence."""
    assert {".jpg", ".heic", ".hif", ".jxl", ".avif"} <= set(IMAGE_SUFFIXES)
    assert not {".cr2", ".dng", ".psd", ".mp4"} & set(IMAGE_SUFFIXES)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("IMG_0001.CR3", "Canon RAW file"),
        ("s3://bucket/a.b/DSC.NEF", "Nikon RAW file"),
        ("a.dng", "DNG file"),
        ("a.psd", "Photoshop document"),
        ("a.MOV", "video"),
        ("a.jpg", None),
        ("a.txt", None),
        (".psd", None),
        ("psd", None),
        ("", None),
    ],
)
def test_what_is_passed_over_has_a_name(name: str, kind: str | None) -> None:
    found = unread_kind(name)
    assert (found and found.name) == kind


@pytest.mark.parametrize(
    ("name", "extra"),
    [("a.HEIC", HEIC), ("a.heif", HEIC), ("a.jxl", JXL), ("a.avif", None), ("a.jpg", None)],
)
def test_extras_that_are_not_installed_are_known(
    name: str, extra: Extra | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda module: None)
    assert extra_needed(name) == extra
    monkeypatch.setattr(formats, "find_spec", lambda module: module)
    assert extra_needed(name) is None


def test_an_extra_says_how_it_is_installed() -> None:
    assert HEIC.command == "pip install 'redepth[heic]'"
