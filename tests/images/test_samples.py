"""A WebDataset sample's photograph is listed, and not the maps beside it; nothing goes unsaid."""

from __future__ import annotations

from pathlib import Path

import pytest

from redepth.images.archives.samples import BESIDE
from redepth.images.collection import list_images
from redepth.images.noticed import Noticed
from tests.images.list_samples import picture
from tests.images.test_containers import write_tar


def listed(path: Path, names: list[str], inside: str = "") -> tuple[list[str], int]:
    """List a tar of these members; returns their names, and how many are beside another."""
    write_tar(path, {name: picture() if "png" in name or "jpg" in name else b"x" for name in names})
    noticed = Noticed()
    source = f"tar://{inside}::{path}" if inside else str(path)
    refs = list(list_images(source, noticed=noticed))
    passed = {kind.kind: kind.number for kind in noticed.notices().passed_over}
    return [ref.uri.removeprefix("tar://").partition("::")[0] for ref in refs], passed.get(
        BESIDE, 0
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["0.jpg", "0.depth.png", "0.seg.png", "0.txt"], ["0.jpg"]),
        (["0.depth.png", "0.jpg", "1.jpg", "1.depth.png"], ["0.jpg", "1.jpg"]),
        (["a/0.jpg", "b/0.depth.png"], ["a/0.jpg", "b/0.depth.png"]),
        (["0.rgb.png", "0.depth.png", "0.left.mask.png"], ["0.rgb.png"]),
        (["0.left.jpg", "0.right.jpg"], ["0.left.jpg", "0.right.jpg"]),
        (["0.depth.png"], ["0.depth.png"]),
        (["0.depth.png", "0.seg.png"], ["0.depth.png", "0.seg.png"]),
        (["0.jpg", "0.png"], ["0.jpg", "0.png"]),
        (["my.photo.png"], ["my.photo.png"]),
        (["IMG.2020.01.jpg", "IMG.2020.02.jpg"], ["IMG.2020.01.jpg", "IMG.2020.02.jpg"]),
        (["0.jpg", "depth.png", "seg.0.png"], ["0.jpg", "depth.png", "seg.0.png"]),
        (["0.RGB.png", "0.Depth.PNG".replace("PNG", "png")], ["0.RGB.png"]),
    ],
)
def test_the_photographs_of_samples(names: list[str], expected: list[str], tmp_path: Path) -> None:
    found, num_beside = listed(tmp_path / "s.tar", names)
    assert found == expected
    assert num_beside == sum(".txt" not in name for name in names) - len(expected)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("*.depth.png", ["0.depth.png", "1.depth.png"]),
        ("*.{depth,seg}.png", ["0.depth.png", "0.seg.png", "1.depth.png"]),
        ("*.png", ["0.depth.png", "0.seg.png", "1.depth.png"]),
        ("0.seg.png", None),
        ("0.*", ["0.jpg"]),
        ("**", ["0.jpg", "1.jpg"]),
    ],
)
def test_another_part_is_chosen_by_its_name(
    inside: str, expected: list[str] | None, tmp_path: Path
) -> None:
    names = ["0.jpg", "0.depth.png", "0.seg.png", "1.jpg", "1.depth.png"]
    found, _ = listed(tmp_path / "s.tar", names, inside)
    assert found == (expected or ["0.seg.png"])


def test_a_part_of_several_shards(tmp_path: Path) -> None:
    for number in range(3):
        write_tar(tmp_path / f"s-{number:03}.tar", {f"{number}.rgb.png": picture(number),
                                                    f"{number}.depth.png": picture()})  # fmt: skip
    for shards in ("*.tar", "s-{000..002}.tar", "s-00[0-2].tar"):
        refs = list(list_images(f"tar://*.rgb.png::{tmp_path}/{shards}"))
        assert [ref.uri.partition("::")[0] for ref in refs] == [
            f"tar://{number}.rgb.png" for number in range(3)
        ]
