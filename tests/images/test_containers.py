"""Photographs inside tars and Parquet files are listed and read like any other."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from redepth.config import Decoding
from redepth.errors import ConfigError, ImageRejected
from redepth.images.archives import parquet_images
from redepth.images.collection import list_images
from redepth.images.decode import read_image
from redepth.types import ImageRef

SETTINGS = Decoding()


def photo(number: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (20, 18), (number, 255 - number, 7)).save(content, "PNG")
    return content.getvalue()


def colour(ref: ImageRef) -> int:
    return int(read_image(ref, SETTINGS).rgb_hw3[0, 0, 0])


def write_tar(path: Path, files: dict[str, bytes], mode: Literal["w", "w:gz"] = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Return a folder of two WebDataset shards of three samples each."""
    for shard in range(2):
        files: dict[str, bytes] = {}
        for i in range(3):
            key = f"{shard}{i:03}"
            files[f"{key}.json"] = b"{}"
            files[f"{key}.png"] = photo(10 * shard + i)
            files[f"{key}.txt"] = f"photograph {i}\n".encode()
        write_tar(tmp_path / f"{shard:05}.tar", files)
    return tmp_path


def test_a_tar_is_listed_with_places_and_captions(shards: Path) -> None:
    refs = list(list_images(str(shards / "00001.tar")))
    assert [ref.uri for ref in refs] == [
        f"tar://1{i:03}.png::file://{shards}/00001.tar" for i in range(3)
    ]
    assert [ref.caption for ref in refs] == ["photograph 0", "photograph 1", "photograph 2"]
    assert [ref.size_bytes for ref in refs] == [len(photo(10 + i)) for i in range(3)]
    assert len({ref.id for ref in refs}) == 3 and refs[0].id.startswith("1000-")
    assert refs[0].version is not None
    assert [colour(ref) for ref in refs] == [10, 11, 12]


def test_a_glob_takes_shards_one_after_another(shards: Path) -> None:
    refs = list(list_images(f"{shards}/*.tar"))
    assert [colour(ref) for ref in refs] == [0, 1, 2, 10, 11, 12]
    assert len(list(list_images(f"{shards}/*.tar", limit=4))) == 4


def test_an_image_of_a_tar_is_read_by_its_uri_too(shards: Path) -> None:
    """As a report does, which has the catalogue and no listing."""
    for ref in list_images(str(shards / "00000.tar")):
        assert ref.offset_bytes is not None
        found = colour(ImageRef(ref.id, ref.uri))
        assert found == colour(ref)


def test_one_range_is_all_that_is_read_of_a_tar(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.filesystem("memory").pipe_file("/ranges/s.tar", (shards / "00000.tar").read_bytes())
    ref = list(list_images("memory://ranges/s.tar"))[1]
    ranges: list[tuple[int, int]] = []
    memory = type(fsspec.filesystem("memory"))
    real = memory.cat_file

    def cat_file(self: object, path: str, start: int, end: int) -> bytes:
        ranges.append((start, end))
        return bytes(real(self, path, start=start, end=end))

    monkeypatch.setattr(memory, "cat_file", cat_file)
    assert colour(ref) == 1
    assert ref.offset_bytes is not None and ref.size_bytes is not None
    assert ranges == [(ref.offset_bytes, ref.offset_bytes + ref.size_bytes)]


def test_a_server_that_gives_no_parts_of_a_file_is_named(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (shards / "00000.tar").read_bytes()
    fsspec.filesystem("memory").pipe_file("/parts/s.tar", content)
    ref = next(list_images("memory://parts/s.tar"))
    memory = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(memory, "cat_file", lambda self, path, start, end: content)
    with pytest.raises(ImageRejected, match="it gives no parts of a file; copy the tar"):
        read_image(ref, SETTINGS)


def test_other_files_and_names_with_dots_and_folders(tmp_path: Path) -> None:
    files = {"a/b/my.photo.png": photo(1), "a/b/notes.md": b"", "a/c/x.PNG": photo(2)}
    tar = write_tar(tmp_path / "x.tar", files)
    refs = list(list_images(str(tar)))
    assert [ref.uri.partition("::")[0] for ref in refs] == [
        "tar://a/b/my.photo.png",
        "tar://a/c/x.PNG",
    ]
    assert [ref.caption for ref in refs] == [None, None]


def test_tars_that_cannot_be_read_in_parts_are_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar.gz", {"a.png": photo(1)}, "w:gz")
    with pytest.raises(ConfigError, match="without compression"):
        list(list_images(str(tmp_path / "x.tar.gz")))
    (tmp_path / "no.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(ConfigError, match="not a readable tar"):
        list(list_images(str(tmp_path / "no.tar")))
    write_tar(tmp_path / "empty.tar", {"a.txt": b"x"})
    with pytest.raises(ConfigError, match="no images found"):
        list(list_images(str(tmp_path / "empty.tar")))


def plain(contents: Sequence[bytes | None]) -> pa.Table:
    return pa.table({"jpg": pa.array(contents, pa.binary())})


def hugging_face(contents: list[bytes]) -> pa.Table:
    values = [{"bytes": content, "path": None} for content in contents]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    numbers = [str(i) for i in range(len(contents))]
    return pa.table(
        {"image": pa.array(values, kind), "id": numbers, "caption": numbers, "mask": contents}
    )


@pytest.mark.parametrize("layout", [plain, hugging_face])
def test_a_parquet_file_of_images(tmp_path: Path, layout: Callable[..., pa.Table]) -> None:
    path = tmp_path / "images.parquet"
    pq.write_table(layout([photo(i) for i in range(10)]), path, row_group_size=4)
    refs = list(list_images(str(path)))
    assert [colour(ref) for ref in refs] == list(range(10))
    assert len({ref.id for ref in refs}) == 10
    column = "jpg" if layout is plain else "image"
    assert refs[7].uri == f"parquet://{column}/7::file://{path}"
    if layout is hugging_face:
        assert (refs[7].id, refs[7].caption) == ("7", "7")


def test_a_row_group_is_read_once_for_the_images_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "images.parquet"
    pq.write_table(plain([photo(i) for i in range(12)]), path, row_group_size=4)
    parquet_images._row_group.cached.cache_clear()
    for ref in list_images(str(path)):
        colour(ref)
    assert parquet_images._row_group.cached.cache_info().misses == 3


def test_parquet_files_that_are_unclear_or_gone(tmp_path: Path) -> None:
    path = tmp_path / "two.parquet"
    pq.write_table(pa.table({"a": [b"1"], "b": [b"2"]}), path)
    with pytest.raises(ConfigError, match=r"which column .* \['a', 'b'\]"):
        list(list_images(str(path)))
    with pytest.raises(ImageRejected, match="no longer there"):
        read_image(ImageRef("x", f"parquet://jpg/0::file://{tmp_path}/gone.parquet"), SETTINGS)
    lists = tmp_path / "list.parquet"
    pq.write_table(pa.table({"uri": ["a.png"], "thumbnail": [b"1"]}), lists)
    assert [ref.uri for ref in list_images(str(lists))] == [f"{tmp_path}/a.png"]


def test_an_empty_cell_is_a_rejected_image(tmp_path: Path) -> None:
    path = tmp_path / "images.parquet"
    pq.write_table(plain([photo(1), None]), path)
    _, empty = list_images(str(path))
    with pytest.raises(ImageRejected, match="empty"):
        read_image(empty, SETTINGS)


def test_a_tar_from_another_storage(shards: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/bucket/s.tar", (shards / "00001.tar").read_bytes())
    refs = list(list_images("memory://bucket/s.tar"))
    assert [colour(ref) for ref in refs] == [10, 11, 12]
    assert np.all([ref.uri.endswith("::memory://bucket/s.tar") for ref in refs])
    memory.store.clear()
