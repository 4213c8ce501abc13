"""Which picture of a reconstruction a label is of, by its path; what is not sure is not matched."""

from __future__ import annotations

import pytest

from redepth.exports.posed.matching import match


@pytest.mark.parametrize(
    ("uri", "names", "expected"),
    [
        ("/data/photos/cam0/001.jpg", ("cam0/001.jpg", "cam1/001.jpg"), "cam0/001.jpg"),
        ("/data/photos/cam0/001.jpg", ("001.jpg", "cam0/001.jpg"), "cam0/001.jpg"),
        ("/elsewhere/001.jpg", ("cam0/001.jpg",), "cam0/001.jpg"),
        ("/elsewhere/001.jpg", ("cam0/001.jpg", "cam1/001.jpg"), None),
        ("/data/001.png", ("001.jpg",), None),
        ("/data/x001.jpg", ("001.jpg",), None),
        ("s3://bucket/photos/cam0/001.jpg", ("cam0/001.jpg",), "cam0/001.jpg"),
        ("https://host/a/001.jpg?size=4", ("a/001.jpg",), "a/001.jpg"),
        ("tar://cam0/001.jpg::/data/all.tar", ("cam0/001.jpg",), "cam0/001.jpg"),
    ],
)
def test_a_label_is_of_the_picture_its_path_ends_with(
    uri: str, names: tuple[str, ...], expected: str | None
) -> None:
    matching = match({"a": uri}, names)
    assert matching.names.get("a") == expected
    assert matching.unmatched == (() if expected else ("a",))
    assert matching.unlabelled == tuple(name for name in names if name != expected)


def test_two_labels_of_one_name_are_of_none() -> None:
    uris = {"a": "/one/001.jpg", "b": "/two/001.jpg", "c": "/one/002.jpg"}
    matching = match(uris, ["001.jpg", "002.jpg"])
    assert matching.names == {"c": "002.jpg"}
    assert matching.unmatched == ("a", "b") and matching.unlabelled == ("001.jpg",)
