"""One container or folder that cannot be read is named, and the rest is listed."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redepth.errors import ConfigError, TransientError
from redepth.images.collection import list_images
from redepth.images.noticed import LINKED_FOLDERS, NO_SUFFIX, Noticed, Notices, as_lines
from redepth.images.picture import formats
from redepth.types import ImageRef


def write_tar(path: Path, names: list[str]) -> None:
    with tarfile.open(path, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 5
            tar.addfile(member, io.BytesIO(b"12345"))


def listed(source: str) -> tuple[list[ImageRef], Notices]:
    noticed = Noticed()
    refs = list(list_images(source, noticed=noticed))
    return refs, noticed.notices()


@pytest.mark.parametrize("content", [b"", b"no tar", b"x" * 2000])
def test_one_tar_of_a_glob(tmp_path: Path, content: bytes) -> None:
    write_tar(tmp_path / "a.tar", ["1.jpg"])
    (tmp_path / "b.tar").write_bytes(content)
    write_tar(tmp_path / "c.tar", ["2.jpg"])
    refs, notices = listed(f"{tmp_path}/*.tar")
    assert [ref.uri.rpartition("/")[2] for ref in refs] == ["a.tar", "c.tar"]
    (fault,) = notices.faults
    assert fault.place == f"{tmp_path}/b.tar"
    assert notices.could_hold(f"tar://3.jpg::file://{tmp_path}/b.tar")
    assert not notices.could_hold(f"tar://3.jpg::file://{tmp_path}/a.tar")


def test_one_parquet_of_a_glob(tmp_path: Path) -> None:
    for name in ("a", "c"):
        pq.write_table(pa.table({"image": [b"12345"]}), tmp_path / f"{name}.parquet")
    (tmp_path / "b.parquet").write_bytes(b"")
    refs, notices = listed(f"{tmp_path}/*.parquet")
    assert len(refs) == 2
    assert [fault.place for fault in notices.faults] == [f"{tmp_path}/b.parquet"]


def test_a_container_alone_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(b"no tar")
    with pytest.raises(ConfigError, match=r"b\.tar"):
        list(list_images(f"{tmp_path}/b.tar"))
    with pytest.raises(
        ConfigError, match=r"no images found[^\n]*\n  could not be listed: .*b\.tar"
    ):
        list(list_images(f"{tmp_path}/*.tar"))


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"x")
    scandir = os.scandir

    def refusing(folder: Any) -> Any:
        if str(folder).endswith("/b"):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    refs, notices = listed(str(tmp_path))
    assert [ref.uri for ref in refs] == [f"{tmp_path}/a/1.jpg", f"{tmp_path}/c/1.jpg"]
    (fault,) = notices.faults
    assert fault.place == f"{tmp_path}/b"
    assert "Permission denied" in fault.reason
    assert notices.could_hold(f"{tmp_path}/b/deep/2.jpg")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="access is refused"):
        list(list_images(f"{tmp_path}/b"))


def test_a_folder_of_another_file_system_that_may_not_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for name in ("a/1.jpg", "b/1.jpg", "c/1.jpg"):
        memory.pipe_file(f"/photos/{name}", b"x")
    ls = type(memory).ls

    def refusing(self: Any, path: str, **options: Any) -> Any:
        if path.rstrip("/").endswith("/b"):
            raise PermissionError(13, "Permission denied", path)
        return ls(self, path, **options)

    monkeypatch.setattr(type(memory), "ls", refusing)
    refs, notices = listed("memory://photos")
    assert [ref.uri for ref in refs] == ["memory://photos/a/1.jpg", "memory://photos/c/1.jpg"]
    assert [fault.place for fault in notices.faults] == ["memory://photos/b"]


def test_a_storage_that_may_answer_later_is_no_fault_of_a_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pipe_file("/photos/a/1.jpg", b"x")
    ls = type(memory).ls

    def failing(self: Any, path: str, **options: Any) -> Any:
        if path.rstrip("/").endswith("/a"):
            raise ConnectionResetError(104, "Connection reset by peer")
        return ls(self, path, **options)

    monkeypatch.setattr(type(memory), "ls", failing)
    with pytest.raises(TransientError):
        listed("memory://photos")


def test_names_that_are_not_valid_unicode(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    for path in (folder / "a.jpg", tmp_path / os.fsdecode(b"b\xe9.jpg")):
        path.write_bytes(b"x")
    (folder / os.fsdecode(b"c\xe9.txt")).write_bytes(b"x")
    (tmp_path / "good.jpg").write_bytes(b"x")
    refs, notices = listed(str(tmp_path))
    assert len(refs) == 3
    assert notices.passed_over[0].example.encode()
    write_tar(folder / "x.tar", ["1.jpg"])
    assert len(listed(f"{tmp_path}/**/*.tar")[0]) == 1


OWN = {
    "labels": ("dataset.json", {"format_version": 3, "recipe_digest": "ab"}, "reports/r/a.png"),
    "export": ("export.json", {"recipe_digest": "ab", "request": {}}, "refined/a.png"),
    "scores": ("evaluation.json", {"labels": "l", "dataset_format": "kitti"}, "reliability.png"),
}


@pytest.mark.parametrize("protocol", ["", "memory://"])
@pytest.mark.parametrize("own", OWN)
def test_what_redepth_wrote_is_not_listed(tmp_path: Path, own: str, protocol: str) -> None:
    root = f"{protocol}{tmp_path}"
    marker, said, picture = OWN[own]
    for name, content in {
        "a.jpg": "x",
        f"out/{marker}": json.dumps(said),
        f"out/{picture}": "x",
        f"theirs/{marker}": '{"made by": "somebody else"}',
        f"theirs/{picture}": "x",
        f"broken/{marker}": "{",
        f"broken/{picture}": "x",
    }.items():
        with fsspec.open(f"{root}/{name}", "w", auto_mkdir=True) as file:
            file.write(content)
    refs, notices = listed(root)
    names = [ref.uri.removeprefix(f"{root}/") for ref in refs]
    assert names == ["a.jpg", f"broken/{picture}", f"theirs/{picture}"]
    passed = {kind.example.removeprefix(f"{root}/") for kind in notices.passed_over}
    assert "out" in passed


def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.jpg", "b.txt", "c.txt", "d", ".e.jpg", "Thumbs.db"):
        (photos / name).write_bytes(b"x")
    (photos / "linked").symlink_to(tmp_path / "elsewhere")
    _, notices = listed(str(photos))
    found = {kind.kind: kind.number for kind in notices.passed_over}
    assert found == {
        ".txt": 2, NO_SUFFIX: 1, "hidden": 1, LINKED_FOLDERS: 1, "thumbnails of Windows": 1,
    }  # fmt: skip
    (hidden,) = listed(f"{photos}/*.jpg")[1].passed_over
    assert (hidden.kind, hidden.example) == ("hidden", f"{photos}/.e.jpg")
    _, notices = listed(f"{photos}/*")
    assert ".txt" in [kind.kind for kind in notices.passed_over]


def test_pictures_that_need_an_extra_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats.Extra, "is_installed", False)
    for name in ("a.jpg", "b.HEIC", "c.heif", "d.jxl"):
        (tmp_path / name).write_bytes(b"x")
    refs, notices = listed(str(tmp_path))
    assert len(refs) == 4
    assert notices.missing_extras == ((formats.HEIC, 2), (formats.JXL, 1))
    lines = list(as_lines(notices, 3))
    assert len(lines) == 2
    assert "2 by their names" in lines[0]
    assert "pip install 'redepth[heic]'" in lines[0]
