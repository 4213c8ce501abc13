"""From a row back to its photograph: the one that was labelled, read as listed, or an error."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from redepth.config import Decoding
from redepth.errors import ConfigError, ImageRejected, PhotographChanged, PhotographNotAllowed
from redepth.images import locator
from redepth.images.allowed import ANYTHING, Allowed, allowed_for_labels
from redepth.images.archives import parquet_images
from redepth.images.archives import tar_images as containers
from redepth.images.collection import list_images
from redepth.images.decode import read_image
from redepth.images.locator import Photographs, blank_row, photograph_of, relocated
from redepth.types import ImageRef, LabelRow, Outcome

NUM_MEMBERS = 4000
HERE = Photographs(Decoding(), ANYTHING)


def png(seed: int, size_px: tuple[int, int] = (20, 16)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (*size_px[::-1], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def labelled(ref: ImageRef) -> LabelRow:
    """Return the row as the pipeline writes it."""
    sha256 = read_image(ref, Decoding()).sha256
    return replace(blank_row(ref, Outcome.REFINED), sha256=sha256)


@pytest.fixture(scope="module")
def tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tar") / "many.tar"
    with tarfile.open(path, "w") as file:
        for number in range(NUM_MEMBERS):
            content = png(number % 7)
            info = tarfile.TarInfo(f"{number:05}.png")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def test_what_a_listing_found_out_comes_back() -> None:
    ref = ImageRef("a", "tar://a.png::file:///t.tar", 7, "v1", offset_bytes=512)
    assert photograph_of(blank_row(ref, Outcome.FAILED)) == ref
    other = blank_row(ImageRef("b", "b.png", 8, "v2"), Outcome.REFINED)
    moved = relocated(replace(blank_row(ref, Outcome.REFINED), caption="a field"), other)
    assert moved == replace(other, caption="a field")


class Counted(io.FileIO):
    """A file that counts what is read of it."""

    num_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(-1 if size is None else size)
        Counted.num_bytes += len(content)
        return content


def test_the_last_member_of_a_tar_is_read_by_its_offset(
    tar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the offset it took every header of the tar: 171 ms an image instead of one."""
    *_, last = list_images(str(tar))
    row = labelled(last)
    Counted.num_bytes = 0
    monkeypatch.setattr(containers, "open_regular", Counted)
    assert HERE.open(row).sha256 == row.sha256
    assert Counted.num_bytes == row.size_bytes


def test_a_photograph_that_was_overwritten_is_never_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(1))
    (ref,) = list_images(str(path))
    row = labelled(ref)
    assert HERE.open(row).sha256 == hashlib.sha256(png(1)).hexdigest()
    path.write_bytes(png(2))
    monkeypatch.setattr(locator, "decode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(PhotographChanged, match=r"a\.png is not the file that was labelled"):
        HERE.open(row)
    path.unlink()
    with pytest.raises(ImageRejected, match="no longer there"):
        HERE.open(row)


def test_a_row_that_does_not_say_which_bytes_were_labelled_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    (ref,) = list_images(str(tmp_path))
    with pytest.raises(PhotographChanged, match="does not say which bytes"):
        HERE.open(blank_row(ref, Outcome.REFINED))


def test_a_parquet_file_of_images_that_was_sorted_again_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "images.parquet"
    table = pa.table({"id": ["a", "b"], "image": [png(1), png(2)]})
    pq.write_table(table, path)
    rows = [labelled(ref) for ref in list_images(str(path))]
    assert [HERE.open(row).sha256 for row in rows] == [row.sha256 for row in rows]
    parquet_images._parquet_file.cached.cache_clear()
    parquet_images._row_group.cached.cache_clear()
    pq.write_table(table.take([1, 0]), path)
    for row in rows:
        with pytest.raises(PhotographChanged):
            HERE.open(row)


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return the addresses that are opened over any network: none may be."""
    asked: list[str] = []
    monkeypatch.setattr("redepth.images.decode.open_source", lambda uri, *_: asked.append(uri))
    monkeypatch.setattr(
        "redepth.images.archives.members.open_source", lambda uri, *_: asked.append(uri)
    )
    yield asked
    assert asked == []


@pytest.mark.parametrize("labels", ["/data/labels", "s3://theirs/labels"])
@pytest.mark.parametrize(
    "uri",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://tracker.example/a.png",
        "s3://another/a.png",
        "zip://a.png::https://tracker.example/a.zip",
        "simplecache::https://tracker.example/a.png",
        "reference://::https://tracker.example/a.json",
    ],
)
def test_somebody_elses_labels_send_nobody_to_another_host(
    labels: str, uri: str, unread: list[str]
) -> None:
    photographs = Photographs(Decoding(), allowed_for_labels(labels))
    row = LabelRow(id="a", uri=uri, outcome=Outcome.REFINED, sha256="0" * 64)
    with pytest.raises(PhotographNotAllowed, match=r"labels may name .*|.*--allow ROOT"):
        photographs.open(row)


def test_what_lies_beside_the_labels_or_was_allowed_may_be_read() -> None:
    allowed = allowed_for_labels("s3://mine/labels", ["https://example.org/photos"])
    readable = (
        "/photos/a.png",
        "file:///photos/a.png",
        "s3://mine/photos/a.png",
        "https://example.org/photos/a.png",
        "tar://a.png::file:///photos/t.tar",
    )
    assert [uri for uri in readable if not allowed.allows(uri)] == []
    assert not allowed.allows("https://example.org/other/a.png")
    with pytest.raises(ConfigError, match="nothing that a list can be allowed"):
        allowed_for_labels("labels", [""])


@pytest.mark.parametrize("uri", ["/etc/passwd", "/dev/zero", "/proc/self/environ", "tar://a::/etc"])
def test_a_file_of_this_machine_that_was_not_labelled_is_never_decoded(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locator, "decode", lambda *_: pytest.fail("decoded"))
    photographs = Photographs(Decoding(max_bytes=10_000), allowed_for_labels("/data/labels"))
    with pytest.raises(ImageRejected) as error:
        photographs.open(LabelRow(id="a", uri=uri, outcome=Outcome.REFINED, sha256="0" * 64))
    assert "root:" not in str(error.value)


def test_a_row_may_not_ask_for_more_than_a_photograph_has(tmp_path: Path) -> None:
    path = tmp_path / "t.tar"
    path.write_bytes(b"\0" * 2**20)
    row = LabelRow(
        id="a", uri=f"tar://a.png::file://{path}", outcome=Outcome.REFINED, sha256="0" * 64,
        offset_bytes=0, size_bytes=10**12,
    )  # fmt: skip
    with pytest.raises(ImageRejected, match="a picture of 100 megapixels at most"):
        Photographs(Decoding(), Allowed(("/",))).open(row)
