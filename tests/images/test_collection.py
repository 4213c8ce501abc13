"""Folders, globs, prefixes, lists and single files become one stream of references."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redepth.errors import ConfigError, TransientError
from redepth.images.collection import image_id, list_images
from redepth.images.noticed import LINKED_FOLDERS, Noticed, PassedOver

FILES = (
    "a.jpg", "b/0001.JPG", "b.jpg", "b/deep/0001.png", "b0.webp", "c/0001.jpg", "notes.md",
    ".hidden.jpg", ".thumbs/0001.jpg", "b/raw.heic",
)  # fmt: skip
LISTED = ["a.jpg", "b.jpg", "b/0001.JPG", "b/deep/0001.png", "b/raw.heic", "b0.webp", "c/0001.jpg"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    return tmp_path / "photos"


@pytest.fixture
def bucket() -> str:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    for name in FILES:
        memory.pipe_file(f"/photos/{name}", b"12345")
    return "memory://photos"


def uris(source: object, limit: int | None = None) -> list[str]:
    return [ref.uri for ref in list_images(str(source), limit)]


def below(folder: object, names: list[str]) -> list[str]:
    return [f"{folder}/{name}" for name in names]


# --- folders, prefixes, globs --------------------------------------------------------------------


def test_a_folder_in_the_order_of_its_paths(photos: Path) -> None:
    assert uris(photos) == below(photos, LISTED)
    assert uris(photos) == sorted(uris(photos))


def test_a_prefix_gives_what_the_folder_gives(bucket: str) -> None:
    assert uris(bucket) == below(bucket, LISTED)
    assert uris(f"{bucket}/") == below(bucket, LISTED)


def test_local_files_come_with_size_and_modification_time(photos: Path) -> None:
    first = next(list_images(str(photos)))
    assert first.size_bytes == 5
    assert first.version == str((photos / "a.jpg").stat().st_mtime_ns)


def test_other_filesystems_give_size_and_a_version_too(bucket: str) -> None:
    first = next(list_images(bucket))
    assert (first.size_bytes, first.version is None) == (5, False)
    assert next(list_images(f"{bucket}/a.jpg")) == first


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*", ["a.jpg", "b.jpg", "b0.webp"]),
        ("*.jpg", ["a.jpg", "b.jpg"]),
        ("?.jpg", ["a.jpg", "b.jpg"]),
        ("[bc]/*", ["b/0001.JPG", "b/raw.heic", "c/0001.jpg"]),
        ("*/0001.*", ["b/0001.JPG", "c/0001.jpg"]),
        ("**", LISTED),
        ("**/0001.*", ["b/0001.JPG", "b/deep/0001.png", "c/0001.jpg"]),
        ("b/**/*.png", ["b/deep/0001.png"]),
        (".thumbs/*", [".thumbs/0001.jpg"]),
    ],
)
def test_globs_here_and_there(photos: Path, bucket: str, pattern: str, names: list[str]) -> None:
    assert uris(f"{bucket}/{pattern}") == below(bucket, names)
    assert uris(f"{photos}/{pattern}") == below(photos, names)


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the folders that are looked into, in order."""
    folders: list[str] = []
    scandir = os.scandir

    def noted(path: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        folders.append(str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    return folders


def test_a_glob_without_stars_across_folders_enters_no_deeper(
    photos: Path, entered: list[str]
) -> None:
    uris(f"{photos}/*/*.jpg")
    assert entered == [str(photos), str(photos / "b"), str(photos / "c")]


def test_brackets_in_a_name_that_exists_are_no_wildcards(photos: Path) -> None:
    odd = photos / "shots [2020]"
    odd.mkdir()
    (odd / "x[1].jpg").write_bytes(b"")
    assert uris(odd) == [f"{odd}/x[1].jpg"] == uris(odd / "x[1].jpg") == uris(f"{odd}/x[1].jpg")
    assert uris(f"{photos}/shots*/*") == [f"{odd}/x[1].jpg"]


def test_one_file_has_one_id_however_it_is_listed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    (tmp_path / "way").symlink_to(photos)
    (tmp_path / "list.txt").write_text(f"photos/a.jpg\n{photos}/a.jpg\n./photos/../way/a.jpg\n")
    (photos / "list.txt").symlink_to(tmp_path / "list.txt")
    sources = (
        photos, f"{photos}/", ".", "./", "../photos", tmp_path / "way", f"{photos}/*.jpg", "*.jpg",
        "**/a.jpg", f"file://{photos}", f"{photos}/a.jpg", "a.jpg", "./a.jpg", "list.txt",
        tmp_path / "way" / "list.txt", f"{tmp_path}/way/*.jpg",
    )  # fmt: skip
    for source in sources:
        ids = [ref.id for ref in list_images(str(source)) if ref.uri.endswith("/a.jpg")]
        assert ids == [image_id(str(photos / "a.jpg"))], source


def test_ids_never_collide(photos: Path) -> None:
    ids = [ref.id for ref in list_images(str(photos))]
    assert len(set(ids)) == len(LISTED)
    assert sum(name.startswith("0001-") for name in ids) == 3


def test_linked_files_are_listed_broken_ones_too_linked_folders_are_not(
    photos: Path, tmp_path: Path
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / "good.jpg").symlink_to(photos / "a.jpg")
    (links / "broken.jpg").symlink_to(photos / "gone.jpg")
    (links / "loop").symlink_to(links)
    noticed = Noticed()
    listed = list(list_images(str(links), noticed=noticed))
    assert [ref.uri for ref in listed] == [f"{links}/broken.jpg", f"{links}/good.jpg"]
    assert listed[0].size_bytes is None
    (linked,) = noticed.notices().passed_over
    assert linked == PassedOver(LINKED_FOLDERS, 1, f"{links}/loop")


def test_a_pipe_is_no_image(photos: Path) -> None:
    os.mkfifo(photos / "pipe.jpg")
    assert uris(photos) == below(photos, LISTED)


def test_a_single_file_is_taken_whatever_it_is_called(photos: Path) -> None:
    assert uris(photos / "notes.md") == [str(photos / "notes.md")]


def test_an_archive_is_a_collection(photos: Path, tmp_path: Path) -> None:
    import shutil

    archive = shutil.make_archive(str(tmp_path / "all"), "zip", photos)
    listed = uris(f"zip://::{archive}")
    assert listed == [f"zip://{name}::{archive}" for name in LISTED]
    with fsspec.open(listed[0], "rb") as file:
        assert file.read() == b"12345"


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_limit_takes_the_first(photos: Path, limit: int) -> None:
    assert uris(photos, limit) == below(photos, LISTED)[:limit]


def test_limit_stops_looking(photos: Path, entered: list[str]) -> None:
    assert len(uris(photos, 2)) == 2
    assert entered == [str(photos)]


def test_listing_streams(photos: Path) -> None:
    refs = list_images(str(photos))
    first = next(refs)
    (photos / "c" / "0002.jpg").write_bytes(b"")
    assert (first.uri, [ref.uri for ref in refs][-1]) == (
        f"{photos}/a.jpg",
        f"{photos}/c/0002.jpg",
    )


# --- lists ---------------------------------------------------------------------------------------

Writer = Callable[[Path, list[dict[str, str]]], Path]


def as_csv(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "list.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ["uri", "id", "caption", "extra"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_jsonl(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "list.jsonl"
    path.write_text("\n\n".join(json.dumps(row) for row in rows))
    return path


def as_parquet(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "list.PARQUET"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


WRITERS = pytest.mark.parametrize("write", [as_csv, as_jsonl, as_parquet])


@WRITERS
def test_a_table_gives_uri_id_and_caption(write: Writer, tmp_path: Path) -> None:
    rows = [
        {"uri": "photos/a.jpg", "caption": "Grüße, \n a garden", "id": "garden"},
        {"uri": "s3://bucket/b.jpg", "caption": "", "id": ""},
        {"uri": "../notes.weird", "caption": "", "id": ""},
    ]
    first, second, third = list_images(str(write(tmp_path, rows)))
    assert (first.id, first.caption) == ("garden", "Grüße, \n a garden")
    assert first.uri == f"{tmp_path}/photos/a.jpg"
    assert (second.id, second.uri, second.caption) == (
        image_id("s3://bucket/b.jpg"), "s3://bucket/b.jpg", None,
    )  # fmt: skip
    assert third.uri == f"{tmp_path.parent}/notes.weird"
    assert (first.size_bytes, first.version) == (None, None)


def test_a_text_list_skips_blank_lines_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbf# mine\r\n\r\n  a.jpg  \r\nb with space.jpg\r\n")
    assert uris(path) == [f"{tmp_path}/a.jpg", f"{tmp_path}/b with space.jpg"]


def test_a_list_may_lie_anywhere(bucket: str) -> None:
    fsspec.filesystem("memory").pipe_file("/photos/lists/l.txt", b"../a.jpg\n/here/b.jpg\n")
    assert uris(f"{bucket}/lists/l.txt") == [f"{bucket}/a.jpg", "/here/b.jpg"]
    assert next(list_images(f"{bucket}/lists/l.txt")).id == next(list_images(bucket)).id


@WRITERS
def test_a_uri_listed_twice_is_listed_once(write: Writer, tmp_path: Path) -> None:
    rows = [{"uri": "a.jpg"}, {"uri": "./a.jpg"}, {"uri": "b.jpg"}, {"uri": f"{tmp_path}/a.jpg"}]
    assert uris(write(tmp_path, rows)) == [f"{tmp_path}/a.jpg", f"{tmp_path}/b.jpg"]


@WRITERS
def test_an_id_for_two_images_is_an_error_that_names_both(write: Writer, tmp_path: Path) -> None:
    rows = [{"uri": "a.jpg", "id": "x"}, {"uri": "a.jpg", "id": "x"}, {"uri": "b.jpg", "id": "x"}]
    path = write(tmp_path, rows)
    with pytest.raises(ConfigError, match=r"'x' names two images.*a\.jpg.*b\.jpg"):
        uris(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("l.csv", b"path,label\na.jpg,1\n", r"no column `uri`; it has 'path', 'label'"),
        ("l.csv", b"", r"no column `uri`; it has none"),
        ("l.csv", b"uri,id\na.jpg,1\n,2\n", r"line 3: `uri` is empty"),
        ("l.jsonl", b'{"uri": "a.jpg"}\n{"uri": \n', r"line 2: not JSON"),
        ("l.jsonl", b'{"path": "a.jpg"}\n', r"line 1: expected"),
        ("l.jsonl", b"[1]\n", r"line 1: expected"),
        ("l.jsonl", b'{"uri": null}\n', r"line 1: `uri` is empty"),
        ("l.parquet", b"PAR1 not really", r"not a readable Parquet file"),
        ("l.txt", b"caf\xe9.jpg\n", r"not UTF-8"),
        ("l.txt", b"# nothing\n", r"names no image"),
        ("l.txt", b"a.jpg\nfoo://b/c.jpg\n", r"line 2: cannot open foo://b/c\.jpg: Protocol"),
    ],
)
def test_a_list_that_cannot_be_understood(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        uris(tmp_path / name)


def test_a_parquet_list_without_the_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": ["a.jpg"]}), tmp_path / "l.parquet")
    with pytest.raises(ConfigError, match=r"no column `uri`; it has 'url'"):
        uris(tmp_path / "l.parquet")


def test_a_long_list_is_read_as_far_as_needed(tmp_path: Path) -> None:
    with (tmp_path / "l.jsonl").open("w") as file:
        file.writelines(f'{{"uri": "{number}.jpg"}}\n' for number in range(100))
        file.write("broken")
    assert len(uris(tmp_path / "l.jsonl", 100)) == 100
    assert len(list(islice(list_images(str(tmp_path / "l.jsonl")), 100))) == 100
    with pytest.raises(ConfigError, match="line 101"):
        uris(tmp_path / "l.jsonl")


# --- nothing there -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{tmp}/gone", "no such folder, file or bucket"),
        ("{tmp}/gone.txt", "no such folder, file or bucket"),
        ("{tmp}/gone/*.jpg", "no such folder, file or bucket"),
        ("{tmp}", "no images found"),
        ("{tmp}/*.jpg", "no images found"),
        ("{tmp}/**x/*.jpg", "can only be an entire path component"),
        ("memory://gone", "no such folder, file or bucket"),
        ("memory://gone/a.jpg", "no such folder, file or bucket"),
        ("memory://gone/list.csv", "no such folder, file or bucket"),
        ("foo://bucket/x", "Protocol not known"),
        ("s3://*/x.jpg", "takes no wildcard"),
        ("", "no source given"),
    ],
)
def test_a_source_that_gives_nothing_says_why(source: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        uris(source.format(tmp=tmp_path))


def test_a_limit_of_nothing_is_refused(photos: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        uris(photos, 0)


@pytest.mark.parametrize(
    ("raised", "expected", "said"),
    [
        (PermissionError("AccessDenied"), ConfigError, "access is refused"),
        (ConnectionError("reset"), TransientError, "memory://photos: the storage failed"),
        (ImportError("Please install x"), ConfigError, "cannot be opened"),
        (AttributeError("a bug"), AttributeError, "a bug"),
    ],
)
def test_storage_errors_become_ours(
    raised: Exception, expected: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "ls", fail)
    with pytest.raises(expected, match=said):
        uris("memory://photos")
