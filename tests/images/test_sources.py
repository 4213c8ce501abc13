"""What a person may point at: every kind of file is read, or refused by its name."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redepth.config import Decoding
from redepth.errors import ConfigError
from redepth.images.braces import expanded, has_braces
from redepth.images.collection import could_list, list_images
from redepth.images.decode import read_image
from redepth.images.noticed import Noticed
from redepth.images.other_files import OTHER_FILES
from tests.images.list_samples import picture

SUFFIXES = [suffix for other in OTHER_FILES for suffix in other.suffixes]


def names(source: object, noticed: Noticed | None = None) -> list[str]:
    """List a source, read every image, and return what its uri ends in."""
    refs = list(list_images(str(source), noticed=noticed))
    for ref in refs:
        assert read_image(ref, Decoding()).width_px == 20
        assert could_list(str(source))(ref.uri)
    return [ref.uri.partition("::")[0].rpartition("/")[2] for ref in refs]


def refused(source: object) -> str:
    with pytest.raises(ConfigError) as caught:
        list(list_images(str(source)))
    return str(caught.value)


def write_zip(path: Path, members: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for i, name in enumerate(members):
            archive.writestr(name, picture(i) if "." in name else b"")
    return path


def write_tar(path: Path, members: list[str]) -> Path:
    with tarfile.open(path, "w") as archive:
        for i, name in enumerate(members):
            info = tarfile.TarInfo(name)
            info.size = len(picture(i))
            archive.addfile(info, io.BytesIO(picture(i)))
    return path


# --- files that are no collection ----------------------------------------------------------------


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".ARROW", ".parquet.gz", ".txt.zst", ".jpg.gz"])
def test_other_files_are_refused_by_name(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"whatever")
    fsspec.filesystem("memory").pipe_file(f"/other/x{suffix}", b"whatever")
    for source in (path, f"memory://other/x{suffix}", f"{tmp_path}/*{suffix}"):
        assert "which is not read: " in refused(source)
    fsspec.filesystem("memory").rm("/other", recursive=True)


def test_a_folder_may_be_called_as_a_file(tmp_path: Path) -> None:
    for name in ("photos.h5", "list.csv", "all.zip", "s.tar"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(picture())
        assert names(tmp_path / name) == ["a.png"]


# --- zips ----------------------------------------------------------------------------------------


def test_a_zip_is_a_collection(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "all.zip", ["b.png", "d/c.png", "notes.md", "a.png"])
    assert names(path) == ["a.png", "b.png", "c.png"]
    assert names(f"zip://::{path}") == names(f"zip://**::{path}") == ["a.png", "b.png", "c.png"]
    assert names(f"zip://*.png::{path}") == ["a.png", "b.png"]
    assert names(f"zip://d/*::{path}") == ["c.png"]
    assert names(f"zip://b.png::{path}") == ["b.png"]
    ids = {
        ref.id for source in (path, f"zip://*/*.png::{path}") for ref in list_images(str(source))
    }
    assert len(ids) == 3, "an image has one id, however it is listed"


def test_zips_elsewhere_and_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    for number in range(3):
        path = write_zip(tmp_path / f"{number}.zip", [f"{number}.png"])
        memory.pipe_file(f"/zips/{number}.zip", path.read_bytes())
    assert names("memory://zips/1.zip") == ["1.png"]
    for folder in (str(tmp_path), "memory://zips"):
        for source in ("*.zip", "{0..2}.zip", "{0,1,2}.zip", "[0-2].zip"):
            assert names(f"{folder}/{source}") == ["0.png", "1.png", "2.png"]
            assert names(f"zip://*.png::{folder}/{source}") == ["0.png", "1.png", "2.png"]
    monkeypatch.chdir(tmp_path)
    assert names("zip://*.png::1.zip") == names("1.zip") == ["1.png"]
    memory.rm("/zips", recursive=True)


def test_a_zip_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip at all")
    assert "a.zip" in refused(tmp_path / "a.zip")
    write_zip(tmp_path / "b.zip", ["b.png"])
    noticed = Noticed()
    assert names(f"{tmp_path}/*.zip", noticed) == ["b.png"]
    (fault,) = noticed.notices().faults
    assert fault.place == f"{tmp_path}/a.zip"


@pytest.mark.parametrize("kind", ["zip", "tar", "parquet"])
def test_a_container_whose_path_parts_names_is_refused(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "a::b"
    folder.mkdir()
    write_zip(folder / "x.zip", ["a.png"])
    write_tar(folder / "x.tar", ["a.png"])
    pq.write_table(pa.table({"image": [picture()]}), folder / "x.parquet")
    assert "rename the file or the folder" in refused(folder / f"x.{kind}")


# --- braces --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s-{000..003}.tar", ["s-000.tar", "s-001.tar", "s-002.tar", "s-003.tar"]),
        ("{8..11}", ["8", "9", "10", "11"]),
        ("{08..11}", ["08", "09", "10", "11"]),
        ("{0..010}", [f"{i:03}" for i in range(11)]),
        ("{2..0}", ["2", "1", "0"]),
        ("{a,b,}.x", ["a.x", "b.x", ".x"]),
        ("{train,val}/{0..1}", ["train/0", "train/1", "val/0", "val/1"]),
        ("{a}{1..2}", ["{a}1", "{a}2"]),
        ("{{1..2}}", ["{1}", "{2}"]),
    ],
)
def test_braces(text: str, expected: list[str]) -> None:
    assert has_braces(text)
    assert list(expanded(text)) == expected


@pytest.mark.parametrize(
    "text", ["a.jpg", "{a}.jpg", "{}", "{1..}.jpg", "{1.2}", "}1,2{", "{a..c}"]
)
def test_other_braces_are_letters(text: str) -> None:
    assert not has_braces(text)


def test_braces_that_stand_for_too_much() -> None:
    with pytest.raises(ConfigError, match=r"stand for 10,000,000 names"):
        list(expanded("{0..9999999}"))
    with pytest.raises(ConfigError, match=r"braces stand for"):
        next(list_images("{0..9999}{0..9999}{0..9999}.tar"))


@pytest.fixture(params=["{tmp}", "memory://braces"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a folder of this machine, or of another storage, with shards and photographs."""
    memory = fsspec.filesystem("memory")
    for number in range(4):
        write_tar(tmp_path / f"s-{number:03}.tar", [f"t{number}.png"])
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    for path in tmp_path.iterdir():
        memory.pipe_file(f"/braces/{path.name}", path.read_bytes())
    return str(request.param).format(tmp=tmp_path)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("s-{000..002}.tar", ["t0.png", "t1.png", "t2.png"]),
        ("s-{002..000}.tar", ["t2.png", "t1.png", "t0.png"]),
        ("s-{001,003}.tar", ["t1.png", "t3.png"]),
        ("{0..1}.png", ["0.png", "1.png"]),
        ("{[01],3}.png", ["0.png", "1.png", "3.png"]),
        ("{s-001,s-001}.tar", ["t1.png"]),  # the same one twice
        ("{*.tar,0.png}", ["t0.png", "t1.png", "t2.png", "t3.png", "0.png"]),
    ],
)
def test_braces_in_a_source(source: str, expected: list[str], folder: str) -> None:
    assert names(f"{folder}/{source}") == expected


def test_a_shard_of_a_range_that_is_not_there_is_noticed(folder: str) -> None:
    noticed = Noticed()
    assert names(f"{folder}/s-{{002..005}}.tar", noticed) == ["t2.png", "t3.png"]
    faults = noticed.notices().faults
    assert [fault.place for fault in faults] == [f"{folder}/s-00{i}.tar" for i in (4, 5)]
    assert all("no such" in fault.reason for fault in faults)
    assert "s-007.tar" in refused(f"{folder}/s-{{007..008}}.tar")


@pytest.mark.parametrize("name", ["a{1..3}.png", "{a,b}.png", "s{0..1}.tar", "{x,y}.csv"])
@pytest.mark.parametrize("storage", ["local", "memory"])
def test_a_file_that_is_called_so(name: str, storage: str, tmp_path: Path) -> None:
    write: dict[str, Callable[[Path], object]] = {
        "png": lambda path: path.write_bytes(picture()),
        "tar": lambda path: write_tar(path, ["a.png"]),
        "csv": lambda path: path.write_text("uri\na.png\n"),
    }
    path = tmp_path / name
    write[path.suffix[1:]](path)
    memory = fsspec.filesystem("memory")
    memory.pipe_file(f"/called/{name}", path.read_bytes())
    source = str(path) if storage == "local" else f"memory://called/{name}"
    assert len(list(list_images(source))) == 1
    memory.rm("/called", recursive=True)


def test_braces_of_lists(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
        (tmp_path / f"{number}.csv").write_text(f"uri\n{number}.png\n")
    assert names(tmp_path / "{0..2}.csv") == names(tmp_path / "*.csv") == [
        "0.png", "1.png", "2.png",
    ]  # fmt: skip


# --- one id, one image ---------------------------------------------------------------------------


def write_ids(path: Path, ids: list[str | None]) -> None:
    images = [picture(i) for i in range(len(ids))]
    pq.write_table(pa.table({"image": images, "id": pa.array(ids, pa.string())}), path)


def test_an_id_that_two_images_of_parquet_files_have_is_refused(tmp_path: Path) -> None:
    write_ids(tmp_path / "a.parquet", ["x", "y", None, "x"])
    write_ids(tmp_path / "b.parquet", ["z", "y"])
    said = refused(tmp_path / "a.parquet")
    assert f"'x' names two images, parquet://image/0::file://{tmp_path}/a.parquet and " in said
    assert f"parquet://image/3::file://{tmp_path}/a.parquet: give each its own id" in said
    write_ids(tmp_path / "a.parquet", ["x", "y", None, "w"])
    assert len(names(tmp_path / "a.parquet")) == 4
    for source in ("*.parquet", "{a,b}.parquet", "[ab].parquet"):
        said = refused(tmp_path / source)
        assert f"'y' names two images, parquet://image/1::file://{tmp_path}/a.parquet and " in said
        assert f"parquet://image/1::file://{tmp_path}/b.parquet" in said


def test_an_id_that_two_lists_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("uri,id\na.png,x\nb.png,y\n")
    (tmp_path / "b.csv").write_text("uri,id\nc.png,z\nd.png,y\na.png,x\n")
    said = refused(tmp_path / "*.csv")
    assert f"'y' names two images, {tmp_path}/b.png and {tmp_path}/d.png" in said
    (tmp_path / "b.csv").write_text("uri,id\nc.png,z\na.png,x\nb.png,y\n")
    refs = list(list_images(str(tmp_path / "*.csv")))
    assert [ref.id for ref in refs] == ["x", "y", "z"], "the same image twice is one"
