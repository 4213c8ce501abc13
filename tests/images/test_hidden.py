"""Which names are passed over, and as what."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from redepth.images.collection import list_images
from redepth.images.hidden import APPLE, HIDDEN, TRASH, hidden_kind, names_hidden
from redepth.images.noticed import Noticed


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


# --- one rule, whatever the photographs lie in ----------------------------------------------------

SEEN = ["a.jpg", "b/c.jpg", "b/d.e.jpg"]
UNSEEN = {
    "._a.jpg": APPLE,
    "__MACOSX/._a.jpg": APPLE,
    "__MACOSX/b/c.jpg": APPLE,
    ".hidden.jpg": HIDDEN,
    "b/.thumbs/c.jpg": HIDDEN,
    ".DS_Store": HIDDEN,
    "b/@eaDir/c.jpg/SYNOPHOTO_THUMB_XL.jpg": "thumbnails of a Synology",
    ".Trash/a.jpg": TRASH,
    "$RECYCLE.BIN/a.jpg": TRASH,
    "lost+found/a.jpg": "lost+found",
    "b/Thumbs.db": "thumbnails of Windows",
}


def in_folder(folder: Path) -> str:
    for name in (*SEEN, *UNSEEN):
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return str(folder / "photos")


def in_memory(folder: Path) -> str:
    fsspec.filesystem("memory").store.clear()
    for name in (*SEEN, *UNSEEN):
        fsspec.filesystem("memory").pipe_file(f"/hidden/{name}", b"x")
    return "memory://hidden"


def in_tar(folder: Path) -> str:
    with tarfile.open(folder / "a.tar", "w") as tar:
        for name in (*SEEN, *UNSEEN):
            info = tarfile.TarInfo(f"./{name}")
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    return str(folder / "a.tar")


def in_walked_tar(folder: Path) -> str:
    return f"tar://::{in_tar(folder)}"


def in_zip(folder: Path) -> str:
    with zipfile.ZipFile(folder / "a.zip", "w") as file:
        for name in (*SEEN, *UNSEEN):
            file.writestr(name, b"x")
    return f"zip://::{folder}/a.zip"


@pytest.mark.parametrize("write", [in_folder, in_memory, in_tar, in_walked_tar, in_zip])
def test_hidden_names_are_passed_over_and_counted(
    write: Callable[[Path], str], tmp_path: Path
) -> None:
    noticed = Noticed()
    refs = list(list_images(write(tmp_path), noticed=noticed))
    names = [ref.uri.partition("::")[0] for ref in refs]
    assert all(name.endswith(f"/{seen}") for name, seen in zip(names, SEEN, strict=True))
    counted = {kind.kind: kind.number for kind in noticed.notices().passed_over}
    assert counted.keys() == set(UNSEEN.values())
    if write in (in_tar, in_walked_tar, in_zip):  # elsewhere a hidden folder counts as one
        assert sum(counted.values()) == len(UNSEEN)


OWN = {
    "labels/dataset.json": b'{"format_version": 3, "recipe_digest": "ab"}',
    "labels/reports/1/sheet.jpg": b"x",
    "mine/dataset.json": b'{"made by": "somebody else"}',
    "mine/a.jpg": b"x",
}


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_what_redepth_wrote_is_not_listed_in_archives_either(kind: str, tmp_path: Path) -> None:
    with (
        tarfile.open(tmp_path / "a.tar", "w") as tar,
        zipfile.ZipFile(tmp_path / "a.zip", "w") as z,
    ):
        for name, content in OWN.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            z.writestr(name, content)
    noticed = Noticed()
    source = {"tar": f"{tmp_path}/a.tar", "zip": f"zip://::{tmp_path}/a.zip"}[kind]
    (ref,) = list_images(source, noticed=noticed)
    assert "mine/a.jpg" in ref.uri
    kinds = {each.kind: each.example for each in noticed.notices().passed_over}
    assert "labels/reports/1/sheet.jpg" in kinds["redepth's own labels"] or kind == "tar"
