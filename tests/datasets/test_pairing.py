"""Which ground truth belongs to which photograph."""

from __future__ import annotations

from pathlib import Path

import pytest

from redepth.datasets.depth_file import DepthFile
from redepth.datasets.ground_truth import GroundTruth, Size
from redepth.datasets.pairing import pair


def unread(path: Path, image_hw: Size) -> GroundTruth:
    raise AssertionError("pairing reads no file")


def file(name: str) -> DepthFile:
    return DepthFile(name, Path("/truth") / f"{name}.png", unread)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/photos/kitchen/00012.jpg", "kitchen/00012"),
        ("/photos/rgb_00012.jpg", "sync_depth_00012"),
        ("/photos/1.png", "1_depth"),
        ("s3://bucket/scene/color/7.jpg", "scene/depth/7"),
        ("/photos/1305031102.175304.png", "rgb/1305031102.175304"),
        ("/photos/cones/im2.png", "cones/im2"),
    ],
)
def test_one_photograph_and_one_file_of_a_name_are_a_pair(uri: str, name: str) -> None:
    found = pair({"a": uri, "b": "/photos/other.png"}, [file(name), file("unused")])
    assert {i: f.name for i, f in found.pairs.items()} == {"a": name}
    assert (found.unmatched, found.num_unused) == (("b",), 1)


def test_names_that_repeat_are_told_apart_by_folders() -> None:
    drives = ("2011_09_26_drive_0002_sync", "2011_09_26_drive_0009_sync")
    uris = {
        f"{drive} {camera}": f"/raw/2011_09_26/{drive}/{camera}/data/0000000005.png"
        for drive in drives
        for camera in ("image_02", "image_03")
    }
    files = [
        file(f"{drive}/proj_depth/groundtruth/{camera}/0000000005")
        for drive in drives
        for camera in ("image_03", "image_02")
    ]
    found = pair(uris, files)
    assert not found.unmatched
    for image_id, truth in found.pairs.items():
        drive, camera = image_id.split()
        assert truth.name == f"{drive}/proj_depth/groundtruth/{camera}/0000000005"


def test_a_photograph_does_not_take_the_depth_of_another() -> None:
    uris = {drive: f"/raw/{drive}/5.png" for drive in ("first", "second")}
    found = pair(uris, [file("second/5")])
    assert list(found.pairs) == ["second"]
    assert found.unmatched == ("first",)


def test_a_tie_is_no_pair() -> None:
    found = pair({"a": "/raw/5.png"}, [file("first/5"), file("second/5")])
    assert not found.pairs
    assert found.unmatched == ("a",)
    assert found.num_unused == 2


def test_scenes_whose_files_all_have_one_name_are_told_apart_by_folders() -> None:
    uris = {name: f"/photos/{name}/rgb.png" for name in ("cones", "teddy")}
    found = pair(uris, [file("teddy/depth"), file("cones/depth")])
    assert {i: f.name for i, f in found.pairs.items()} == {
        "cones": "cones/depth",
        "teddy": "teddy/depth",
    }
