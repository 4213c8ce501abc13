"""Lists of pairs as spreadsheets write them, and links and hidden names below the ground truth."""

from __future__ import annotations

import codecs
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from redepth.datasets.finding import find_ground_truth
from redepth.datasets.pairing import pair
from redepth.errors import ConfigError


def write_depth(path: Path, metres: float = 2.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6), metres * 1000, np.uint16)).save(path)
    return path


def paired(where: Path, *uris: str) -> dict[str, str]:
    found = pair({uri: uri for uri in uris}, find_ground_truth(where, "scannet"))
    return {uri: file.path.name for uri, file in found.pairs.items()}


@pytest.mark.parametrize(
    "content",
    [
        b"uri,ground_truth\nb/1.jpg,one.png\nb/2.jpg,two.png\n",
        codecs.BOM_UTF8 + b"uri,ground_truth\r\nb/1.jpg,one.png\r\nb/2.jpg,two.png",
        "uri\tground_truth\r\nb/1.jpg\tone.png\r\nb/2.jpg\ttwo.png\r\n".encode("utf-16"),
        codecs.BOM_UTF16_BE
        + "uri,ground_truth\nb/1.jpg,one.png\nb/2.jpg,two.png".encode("utf-16-be"),
        codecs.BOM_UTF32_LE
        + "uri,ground_truth\nb/1.jpg,one.png\nb/2.jpg,two.png".encode("utf-32-le"),
        b"URI;Ground Truth;remark\nb/1.jpg;one.png;\n;;\n\nb/2.jpg;two.png;good\n",
        b'uri, ground-truth, remark\n"b/1.jpg", "one.png", x\nb/2.jpg, two.png\n',
        b" Uri , GROUND_TRUTH \n./b/1.jpg,./one.png\nb//2.jpg,two.png\n",
    ],
)  # fmt: skip
def test_lists_as_people_save_them(tmp_path: Path, content: bytes) -> None:
    for name in ("one.png", "two.png"):
        write_depth(tmp_path / name)
    (tmp_path / "pairs.csv").write_bytes(content)
    found = paired(tmp_path / "pairs.csv", "/a/b/1.jpg", "/a/b/2.jpg", "/a/c/1.jpg")
    assert found == {"/a/b/1.jpg": "one.png", "/a/b/2.jpg": "two.png"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no column `uri`; it has none"),
        (b"\nuri,ground_truth\n", "has no column `uri`"),
        (b"uri,truth\na.jpg,one.png\n", "has no column `ground_truth`; it has 'uri', 'truth'"),
        (b"uri,ground_truth,URI\na.jpg,one.png,b\n", "'uri' and 'URI' are both 'uri'"),
        (b"uri,ground_truth\na.jpg\n", "line 2: expected uri and ground_truth, got 'a.jpg' and ''"),
        (b"uri,ground_truth\na.jpg,\n", "line 2: expected uri and ground_truth"),
        (b"ground_truth,uri\none.png\n", "line 2: expected uri and ground_truth"),
        (b"uri,ground_truth\na,b.jpg,one.png\n", "line 2: 3 cells, expected 2 as in line 1"),
        (b"uri,ground_truth\na.jpg,one.png\na.jpg,two.png\n", "line 3: a.jpg has two files"),
        (b"uri,ground_truth\na.jpg,three.png\n", "line 2 names .*three.png, which is not there"),
        (b"uri,ground_truth\n\xe4.jpg,one.png\n", "not UTF-8 text .*: save it as UTF-8"),
        ("uri,ground_truth\n".encode("utf-16-le"), "NUL characters.*save the list as UTF-8"),
        (codecs.BOM_UTF16_LE + b"u", "no text of its encoding.*save it as UTF-8"),
        (b'uri,ground_truth\n"a.jpg,' + b"x" * 200_000, "not CSV that can be read"),
        (b"uri,ground_truth\na\x00.jpg,one.png\x00\n", "list"),
        (b"uri,ground_truth\na.jpg," + b"x" * 5000, "which is not there"),
    ],
)  # fmt: skip
def test_lists_that_cannot_be_understood_are_refused_by_line(
    tmp_path: Path, content: bytes, said: str
) -> None:
    for name in ("one.png", "two.png"):
        write_depth(tmp_path / name)
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"list\.csv.*{said}|{said}.*list\.csv"):
        find_ground_truth(tmp_path / "list.csv", "scannet")


@given(
    content=st.binary(max_size=80),
    mark=st.sampled_from([b"", b"\xff\xfe", b"\xfe\xff", b"uri,ground_truth\n"]),
)
def test_any_bytes_are_a_list_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, mark: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(mark + content)
    try:
        find_ground_truth(path, "scannet")
        find_ground_truth(path, "scannet", partial=True)
    except ConfigError as error:
        assert "any.csv" in str(error)


def test_paths_of_a_list_are_its_own_or_absolute(tmp_path: Path) -> None:
    write_depth(tmp_path / "truth/one.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "photos")
    lines = [
        "uri,ground_truth",
        "../photos/1.jpg,one.png",
        f"{tmp_path}/linked/2.jpg,{tmp_path}/truth/one.png",
        f"file://{tmp_path}/photos/3.jpg,one.png",
        "s3://bucket/4.jpg,one.png",
    ]
    (tmp_path / "truth/pairs.csv").write_text("\n".join(lines), encoding="utf-8")
    uris = [*(f"{tmp_path}/photos/{number}.jpg" for number in (1, 2, 3)), "s3://bucket/4.jpg"]
    assert list(paired(tmp_path / "truth/pairs.csv", "/other/photos/1.jpg", *uris)) == uris


def test_a_file_that_a_list_names_and_that_is_gone_is_found_out_later_in_part(
    tmp_path: Path,
) -> None:
    (tmp_path / "pairs.csv").write_text("uri,ground_truth\na.jpg,gone.png\n", encoding="utf-8")
    (file,) = find_ground_truth(tmp_path / "pairs.csv", "scannet", partial=True)
    with pytest.raises(ConfigError, match=r"gone\.png cannot be read"):
        file.read((4, 6))


def test_linked_files_are_read_and_linked_folders_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_depth(tmp_path / "store/blob-1.png")
    write_depth(tmp_path / "elsewhere/depth/9.png")
    root = tmp_path / "truth"
    write_depth(root / "scene/depth/7.png")
    (root / "scene/depth/8.png").symlink_to(tmp_path / "store/blob-1.png")
    (root / "scene/depth/10.png").symlink_to(tmp_path / "gone.png")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    with caplog.at_level(logging.WARNING):
        found = {file.name: file for file in find_ground_truth(root, "scannet")}
    assert list(found) == ["scene/depth/10", "scene/depth/7", "scene/depth/8"]
    assert found["scene/depth/8"].read((4, 6)).map_hw[0, 0] == 2.0
    with pytest.raises(ConfigError, match=r"10\.png cannot be read"):
        found["scene/depth/10"].read((4, 6))
    assert f"not entering the linked folder {root / 'linked'}" in caplog.text


def test_a_folder_of_links_alone_says_that_they_are_not_entered(tmp_path: Path) -> None:
    write_depth(tmp_path / "elsewhere/depth/9.png")
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth/scene").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="linked folders are not entered: scene"):
        find_ground_truth(tmp_path / "truth", "scannet")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (file,) = find_ground_truth(tmp_path / "link", "scannet")
    assert file.name == "depth/9", "the folder that is given may be a link itself"


@pytest.mark.parametrize(
    ("dataset_format", "name"),
    [
        ("virtual-kitti-2", "Scene01/clone/frames/depth/Camera_0/depth_00001.png"),
        ("middlebury", "Motorcycle/disp0.pfm"),
        ("tum", "desk/depth/7.png"),
        ("diode", "indoors/1_depth.npy"),
        ("kitti", "drive/groundtruth/image_02/7.png"),
    ],
)
def test_every_format_leaves_out_hidden_names_and_linked_folders(
    tmp_path: Path, dataset_format: str, name: str
) -> None:
    """A glob of pathlib enters a linked folder where its pattern names each folder, else not."""
    root = tmp_path / "truth"
    for path in (root / name, tmp_path / "other" / name):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"depth")
    folder, _, rest = name.partition("/")
    for hidden in (".trash", "@eaDir", "__MACOSX", "#recycle"):
        (root / hidden / rest).parent.mkdir(parents=True)
        (root / hidden / rest).write_bytes(b"hidden")
    (root / name).with_name(f"._{Path(name).name}").write_bytes(b"AppleDouble")
    (root / f"{folder}2").symlink_to(tmp_path / "other" / folder)
    assert [file.path for file in find_ground_truth(root, dataset_format)] == [root / name]


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_depth(tmp_path / "open/depth/7.png")
    write_depth(tmp_path / "shut/depth/8.png")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with caplog.at_level(logging.WARNING):
        (file,) = find_ground_truth(tmp_path, "scannet")
    assert file.name == "open/depth/7"
    assert f"cannot be listed: [Errno 13] Permission denied: '{tmp_path / 'shut'}'" in caplog.text


def test_pipes_are_no_files(tmp_path: Path) -> None:
    write_depth(tmp_path / "depth/7.png")
    os.mkfifo(tmp_path / "depth/8.png")
    (file,) = find_ground_truth(tmp_path, "scannet")
    assert file.path.name == "7.png"


def test_one_depth_file_can_be_given(tmp_path: Path) -> None:
    path = write_depth(tmp_path / "depth/7.png")
    write_depth(tmp_path / "depth/8.png")
    (file,) = find_ground_truth(path, "scannet")
    assert file.path == path
    (tmp_path / "note.txt").write_text("no depth", encoding="utf-8")
    with pytest.raises(ConfigError, match="it is one file"):
        find_ground_truth(tmp_path / "note.txt", "scannet")
