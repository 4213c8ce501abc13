"""One file, one id, however it is spelt."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.images.uris import canonical_uri, image_id, is_local, protocol_of


def test_an_id_is_the_stem_and_the_digest_of_the_canonical_uri() -> None:
    digest = hashlib.sha256(b"s3://bucket/photos/0001.jpg").hexdigest()[:16]
    assert image_id("s3://bucket/photos/0001.jpg") == f"0001-{digest}"


@pytest.mark.parametrize(
    ("uri", "stem"),
    [
        ("/a/My Photo (1).JPG", "My_Photo_1"),
        ("/a/照片.jpg", "image"),
        ("/a/.jpg", ".jpg"),
        ("/a/no-suffix", "no-suffix"),
        ("/a/" + "x" * 90 + ".png", "x" * 40),
        ("https://host/a/b.jpg?size=2", "b"),
        ("zip://in/side.png::/data/all.zip", "side"),
    ],
)
def test_the_stem_is_readable(uri: str, stem: str) -> None:
    assert image_id(uri).rpartition("-")[0] == stem


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_ids_are_safe_in_file_names_and_urls(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,40}-[0-9a-f]{16}", image_id(f"s3://bucket/{name}"))


def test_two_folders_with_the_same_name_in_them_are_two_images() -> None:
    assert image_id("/a/0001.jpg") != image_id("/b/0001.jpg")


def test_every_spelling_of_a_local_file_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (tmp_path / "linked").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = str(folder.resolve() / "a.jpg")
    for spelling in (
        expected, f"file://{expected}", "photos/a.jpg", "./photos//a.jpg", "photos/../photos/a.jpg",
        "~/photos/a.jpg", "linked/a.jpg", "linked/./a.jpg", f"local://{expected}",
    ):  # fmt: skip
        assert canonical_uri(spelling) == expected, spelling
    assert canonical_uri("a.jpg", base=str(folder)) == expected
    assert canonical_uri(expected, base="/elsewhere") == expected


def test_a_linked_image_keeps_the_name_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"")
    (tmp_path / "a.jpg").symlink_to(tmp_path / "blob")
    assert canonical_uri(str(tmp_path / "a.jpg")).endswith("/a.jpg")


@pytest.mark.parametrize(
    ("uri", "base", "expected"),
    [
        ("S3://Bucket/Key.jpg", "", "s3://Bucket/Key.jpg"),
        ("s3a://b/k.jpg", "", "s3://b/k.jpg"),
        ("gcs://b/k.jpg", "", "gs://b/k.jpg"),
        ("s3://b/x/../y/./k.jpg", "", "s3://b/y/k.jpg"),
        ("s3://b/../../k.jpg", "", "s3://b/k.jpg"),
        ("s3://b/a//k.jpg", "", "s3://b/a//k.jpg"),
        ("s3://b/.hidden/k...jpg", "", "s3://b/.hidden/k...jpg"),
        ("k.jpg", "s3://b/lists", "s3://b/lists/k.jpg"),
        ("../photos/k.jpg", "s3://b/lists", "s3://b/photos/k.jpg"),
        ("s3://b/k.jpg", "/local/folder", "s3://b/k.jpg"),
        ("/no/such/k.jpg", "s3://b/lists", "/no/such/k.jpg"),
        ("file:///no/such/k.jpg", "s3://b/lists", "/no/such/k.jpg"),
        ("zip://a/../b.jpg::s3://b/all.zip", "", "zip://a/../b.jpg::s3://b/all.zip"),
    ],
)
def test_urls(uri: str, base: str, expected: str) -> None:
    assert canonical_uri(uri, base) == expected


@given(
    st.sampled_from(["", "/", "s3://b/", "memory://", "file:///", "S3A://b/"]),
    st.lists(st.sampled_from(["a", "..", ".", "", "b c", "ä", "x.jpg", "~"]), max_size=6),
)
def test_canonical_is_a_fixed_point(start: str, segments: list[str]) -> None:
    once = canonical_uri(start + "/".join(segments))
    assert canonical_uri(once) == once


@pytest.mark.parametrize(
    ("uri", "protocol", "local"),
    [
        ("a/b.jpg", "file", True),
        ("file:///a/b.jpg", "file", True),
        ("odd::name.jpg", "file", True),
        ("S3://b/k", "s3", False),
        ("zip://a::s3://b/k", "zip", False),
        ("simplecache::s3://b/k", "simplecache", False),
    ],
)
def test_protocols(uri: str, protocol: str, local: bool) -> None:
    assert (protocol_of(uri), is_local(uri)) == (protocol, local)


def test_a_name_that_is_not_unicode_has_an_id_of_its_own() -> None:
    assert image_id("/a/\udcff.jpg") != image_id("/a/\udcfe.jpg")
    assert image_id("/a/\udcff.jpg").startswith("image-")


@pytest.mark.parametrize("path", ["a\x00b/c.jpg", "/\ud800/c.jpg", "~nobody-of-that-name/c.jpg"])
def test_a_path_that_cannot_be_has_a_form_all_the_same(path: str) -> None:
    assert canonical_uri(path).endswith("/c.jpg")
