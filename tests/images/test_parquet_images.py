"""Parquet files of photographs as Hugging Face datasets and others write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redepth.config import Decoding
from redepth.errors import ConfigError, ImageRejected
from redepth.images.allowed import ANYTHING, Allowed, allowed_for, allowed_for_labels
from redepth.images.collection import list_images
from redepth.images.decode import read_image
from redepth.types import ImageRef
from tests.images.list_samples import picture

HUGGING_FACE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path: Path, values: list[Any], kind: pa.DataType, **columns: Any) -> Path:
    pq.write_table(pa.table({"image": pa.array(values, kind), **columns}), path, row_group_size=3)
    return path


def shade(ref: ImageRef, allowed: Allowed = ANYTHING) -> int:
    return int(read_image(ref, Decoding(), allowed).rgb_hw3[0, 0, 0])


def reason(ref: ImageRef, allowed: Allowed = ANYTHING) -> str:
    with pytest.raises(ImageRejected) as caught:
        read_image(ref, Decoding(), allowed)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with photographs 1 to 3, beside a private one."""
    (tmp_path / "set" / "photos").mkdir(parents=True)
    for number in (1, 2, 3):
        (tmp_path / "set" / "photos" / f"{number}.png").write_bytes(picture(number))
    (tmp_path / "private.png").write_bytes(picture(9))
    return tmp_path / "set"


PATH_ONLY = pa.struct([("bytes", pa.null()), ("path", pa.string())])
KINDS = {
    "struct": HUGGING_FACE,
    "nothing but paths": PATH_ONLY,
    "large types": pa.struct([("bytes", pa.large_binary()), ("path", pa.large_string())]),
    "paths as bytes": pa.struct([("bytes", pa.binary()), ("path", pa.binary())]),
    "more fields": pa.struct([("path", pa.string()), ("bytes", pa.binary()), ("size", pa.int32())]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_is_read_where_there_are_no_bytes(kind: str, folder: Path) -> None:
    values = [
        {"bytes": None, "path": "photos/1.png"},
        {"bytes": None, "path": f"{folder}/photos/2.png"},
        {"bytes": None, "path": "../set/photos/3.png"},
        {"bytes": None, "path": (folder / "photos" / "1.png").as_uri()},
    ]
    path = write(folder / "a.parquet", values, KINDS[kind], id=["a", "b", "c", "d"])
    refs = list(list_images(str(path)))
    assert [ref.id for ref in refs] == ["a", "b", "c", "d"]
    for allowed in (ANYTHING, allowed_for(str(path)), allowed_for_labels("s3://labels/x")):
        assert [shade(ref, allowed) for ref in refs] == [1, 2, 3, 1]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "nothing but paths"])
def test_rows_of_both_kinds(kind: str, folder: Path) -> None:
    values = [
        {"bytes": picture(7), "path": "photos/1.png"},
        {"bytes": None, "path": "photos/2.png"},
        {"bytes": b"", "path": "photos/3.png"},
        {"bytes": picture(8), "path": None},
        {"bytes": picture(6), "path": "/etc/passwd"},
    ]
    path = write(folder / "a.parquet", values, KINDS[kind])
    assert [shade(ref) for ref in list_images(str(path))] == [7, 2, 3, 8, 6]


@pytest.mark.parametrize("allows", ["nothing more", "as a list"])
@pytest.mark.parametrize(
    "named",
    ["../private.png", "{up}/private.png", "file://{up}/private.png", "/etc/passwd",
     "http://169.254.169.254/a.png", "s3://bucket/a.png", "photos/../../private.png", "linked.png",
     "simplecache::file://{up}/private.png", "zip://a.png::{up}/a.zip"],
)  # fmt: skip
def test_a_row_names_nothing_that_a_list_may_not(named: str, allows: str, folder: Path) -> None:
    (folder / "linked.png").symlink_to(folder.parent / "private.png")
    value = {"bytes": None, "path": named.format(up=folder.parent)}
    path = write(folder / "a.parquet", [value], HUGGING_FACE)
    (ref,) = list_images(str(path))
    allowed = ANYTHING if allows == "nothing more" else allowed_for(str(path))
    assert "may name" in reason(ref, allowed)


def test_what_a_row_names_can_be_allowed(folder: Path) -> None:
    path = write(folder / "a.parquet", [{"bytes": None, "path": "../private.png"}], HUGGING_FACE)
    (ref,) = list_images(str(path))
    assert shade(ref, allowed_for(str(path), [str(folder.parent)])) == 9


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "the file is empty"),
        ({"bytes": None, "path": None}, "the file is empty"),
        ({"bytes": b"", "path": ""}, "the file is empty"),
        ({"bytes": None, "path": "gone.png"}, "gone.png is no longer there"),
        ({"bytes": None, "path": "parquet://image/0::file:///a.parquet"}, "names a Parquet file's"),
        ({"bytes": None, "path": "x" * 20_000}, "`uri` has 20,000 characters"),
        ({"bytes": None, "path": "   "}, "`uri` is empty"),
        ({"bytes": None, "path": "a\0b"}, "is no longer there"),
    ],
)
def test_a_row_that_names_no_photograph(value: object, said: str, folder: Path) -> None:
    path = write(folder / "a.parquet", [value, {"bytes": picture(5)}], HUGGING_FACE)
    first, second = list_images(str(path))
    assert said in reason(first)
    assert shade(second) == 5


def test_from_another_storage() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/set/photos/1.png", picture(1))
    table = pa.table({"image": pa.array([{"bytes": None, "path": "photos/1.png"}], HUGGING_FACE)})
    with memory.open("/set/a.parquet", "wb") as file:
        pq.write_table(table, file)
    (ref,) = list_images("memory://set/a.parquet")
    assert shade(ref) == shade(ref, allowed_for("memory://set/a.parquet")) == 1
    memory.rm("/set", recursive=True)


@pytest.mark.parametrize("name", ["image", "Image", " IMAGE ", "jpg"])
@pytest.mark.parametrize(
    "kind",
    [pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.binary()), HUGGING_FACE,
     pa.struct([("bytes", pa.dictionary(pa.int8(), pa.binary()))])],
    ids=str,
)  # fmt: skip
def test_bytes_of_every_type(name: str, kind: pa.DataType, tmp_path: Path) -> None:
    shades = [1, 2, 1, 1, 3, 2, 1]
    contents = pa.array([picture(s) for s in shades], pa.binary())
    if pa.types.is_struct(kind):
        field = kind.field("bytes").type
        inner = contents.dictionary_encode() if pa.types.is_dictionary(field) else contents
        column: Any = pa.StructArray.from_arrays([inner.cast(field)], ["bytes"])
    else:
        is_dictionary = pa.types.is_dictionary(kind)
        column = contents.dictionary_encode() if is_dictionary else contents.cast(kind)
    other = {"mask": contents} if name != "jpg" else {}
    pq.write_table(pa.table({name: column, **other}), tmp_path / "a.parquet", row_group_size=3)
    refs = list(list_images(str(tmp_path / "a.parquet")))
    assert [shade(ref) for ref in refs] == shades


@pytest.mark.parametrize("kind", [pa.list_(HUGGING_FACE), pa.large_list(pa.binary())], ids=str)
@pytest.mark.parametrize("name", ["image", "images"])
def test_several_photographs_a_row_are_refused(
    name: str, kind: pa.DataType, tmp_path: Path
) -> None:
    pq.write_table(pa.table({name: pa.nulls(2, kind)}), tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match=rf"several photographs a row.*explode\('{name}'\)"):
        list(list_images(str(tmp_path / "a.parquet")))


def test_a_damaged_row_group_is_a_rejection_of_its_photographs(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [picture(i) for i in range(6)], pa.binary())
    refs = list(list_images(str(path)))
    content = bytearray(path.read_bytes())
    place = content.index(picture(1)[:30])
    content[place - 60 : place] = b"\xff" * 60
    path.write_bytes(bytes(content))
    outcomes = []
    for ref in refs:
        try:
            outcomes.append(shade(ref))
        except ImageRejected:
            outcomes.append(-1)
    assert outcomes[3:] == [3, 4, 5] and -1 in outcomes[:3]


def test_a_file_that_was_written_anew_is_listed_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [picture(1)], pa.binary(), id=["x"])
    assert [ref.id for ref in list_images(str(path))] == ["x"]
    write(path, [picture(1)] * 3, pa.binary())
    assert len(list(list_images(str(path)))) == 3
