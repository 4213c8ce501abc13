"""Labels through any kind of URL: read, or refused with what to do; never as an empty output."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from redepth.errors import ConfigError, RedepthError, StorageUnreachable
from redepth.report.figures import read_figures
from redepth.store.dataset import begin
from redepth.store.objects import open_objects
from redepth.store.reader import open_labels, summarise
from redepth.store.verification import count_parts, verify_labels
from tests.store.store_samples import CARD, commit_all, image, images, recipe
from tests.store.web_folder import (
    LoginHandler,
    PlainHandler,
    RangeHandler,
    UnlistedHandler,
    served,
)

NUM = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an output in `labels`, and archives of it and of its inside."""
    folder = tmp_path_factory.mktemp("hands")
    out = str(folder / "labels")
    begin(out, recipe(), [CARD])
    commit_all(out, images(NUM), recipe())
    for name, base in (("all", "labels"), ("inside", "")):
        root = folder if base else folder / "labels"
        shutil.make_archive(str(folder / name), "zip", root, base or None)
    shutil.make_archive(str(folder / "all"), "tar", folder, "labels")
    return folder


def everything_of(url: str) -> tuple[int, int, int]:
    """Read an output by all who read one; return images and problems, all alike."""
    found = verify_labels(url)
    labels = open_labels(url)
    assert summarise(url).num_done == len(labels) == found.num_images == len(list(labels))
    assert count_parts(url) == 2
    maps = [labels[image(number).id].refined for number in range(NUM)]
    assert all(np.isfinite(map_hw).all() for map_hw in maps)
    return found.num_images, found.num_problems, len(maps)


@pytest.mark.parametrize(
    "url",
    [
        "{at}/labels",
        "{at}/labels/",
        "file://{at}/labels",
        "zip://labels::{at}/all.zip",
        "zip://labels/::file://{at}/all.zip",
        "zip://::{at}/inside.zip",
        "zip::{at}/inside.zip",
    ],
)
def test_folders_and_zips_are_read(folder: Path, url: str) -> None:
    assert everything_of(url.format(at=folder)) == (NUM, 0, NUM)


def test_a_web_server_that_sends_parts_of_files_is_read(folder: Path) -> None:
    with served(folder, RangeHandler) as address:
        assert everything_of(f"{address}/labels") == (NUM, 0, NUM)
        assert everything_of(f"zip://labels::{address}/all.zip") == (NUM, 0, NUM)


READERS: list[Callable[[str], object]] = [
    open_labels, summarise, verify_labels, count_parts,
]  # fmt: skip


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("simplecache::{at}/labels", "never learn of what is committed later; leave 'simplecache'"),
        ("filecache::file://{at}/labels", "leave 'filecache' out"),
        ("blockcache::file://{at}/labels", "leave 'blockcache' out"),
        ("zip://labels::simplecache::file://{at}/all.zip", "leave 'simplecache' out"),
        ("tar://labels::{at}/all.tar", r"unpack it \(tar -xf\), or pack the labels as a zip"),
        ("libarchive://labels::{at}/all.tar", "unpack it"),
        ("dir://::{at}/labels", "name the labels' own folder"),
        ("dir::file://{at}/labels", "name the labels' own folder"),
        ("reference://x", "not read through 'reference'"),
        ("data:,x", "not read through 'data'"),
        ("nosuch://x", "expected a folder, s3://"),
        ("zip://labels::{at}/labels/dataset.json", "not a zip file"),
        ("zip://labels::{at}/gone.zip", "no such folder, file or bucket"),
        ("{at}/all.zip", "zip archive; give the folder in it: zip://labels::{at}/all.zip"),
        ("{at}/inside.zip", "give the folder in it: zip://::{at}/inside.zip"),
        ("zip://::{at}/all.zip", "holds outputs and is none; give one of them: .*/labels"),
        ("{at}/all.tar", "it is a file; expected the folder that holds dataset.json, or unpack it"),
        ("{at}/labels/dataset.json", "it is a file; .*: give {at}/labels$"),
        ("{at}", "the folder holds outputs and is none; give one of them: {at}/labels"),
        ("{at}/labels/labels", "it is a part of an output; give the whole: {at}/labels"),
        ("{at}/nowhere", "nothing is there; expected the folder that holds dataset.json"),
    ],
)
def test_every_other_kind_is_refused_with_what_to_do(
    folder: Path, url: str, said: str, read: Callable[[str], object]
) -> None:
    with pytest.raises(ConfigError, match=said.format(at=folder)):
        read(url.format(at=folder))


def test_an_export_and_an_empty_folder_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "export.json").write_text('{"labels": "s3://labels/2026"}')
    with pytest.raises(ConfigError, match=r"it is an export .*; give .* made of: s3://labels/2026"):
        open_labels(str(tmp_path))
    (tmp_path / "export.json").write_text("[]")
    with pytest.raises(ConfigError, match="it is an export"):
        open_labels(str(tmp_path))
    (tmp_path / "export.json").unlink()
    with pytest.raises(ConfigError, match="nothing is there"):
        open_labels(str(tmp_path))
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(ConfigError, match=r"no dataset.json among 1 names \(photo.jpg\)"):
        open_labels(str(tmp_path))


def test_a_server_without_ranges_is_named_and_no_label_is_called_damaged(folder: Path) -> None:
    with served(folder, PlainHandler) as address:
        url = f"{address}/labels"
        assert summarise(url).num_done == NUM, "the catalogue takes whole files alone"
        labels = open_labels(url)
        for read in (lambda: labels[image(0).id].refined, lambda: verify_labels(url)):
            with pytest.raises(ConfigError, match="does not answer requests for a part") as raised:
                read()
            assert "remove" not in str(raised.value) and "as they were" in str(raised.value)
        with pytest.raises(ConfigError, match="range requests"):
            open_labels(f"zip://labels::{address}/all.zip")


@pytest.mark.parametrize("read", [*READERS, read_figures])
def test_a_page_in_place_of_the_labels_is_named(
    folder: Path, read: Callable[[str], object]
) -> None:
    with served(folder, LoginHandler) as address:
        if read is not read_figures:
            with pytest.raises(ConfigError, match="answered with a web page"):
                read(f"{address}/labels")
        else:
            with pytest.raises(RedepthError):
                read(f"{address}/labels")


def test_a_page_in_place_of_a_fragment_is_no_damaged_fragment(tmp_path: Path) -> None:
    begin(str(tmp_path), recipe(), [CARD])
    commit_all(str(tmp_path), images(NUM), recipe())
    for path in (tmp_path / "labels").iterdir():
        path.write_text("<html>session expired</html>")
    with served(tmp_path, RangeHandler) as address, pytest.raises(ConfigError, match="web page"):
        summarise(address)


@pytest.mark.parametrize("read", [summarise, verify_labels, count_parts, read_figures])
def test_what_cannot_be_listed_is_not_empty(folder: Path, read: Callable[[str], object]) -> None:
    with (
        served(folder, UnlistedHandler) as address,
        pytest.raises(ConfigError, match="cannot list what it holds"),
    ):
        read(f"{address}/labels")


def test_what_is_only_read_is_not_written_to(tmp_path: Path) -> None:
    out = str(tmp_path / "labels")
    begin(out, recipe(), [CARD])
    shutil.make_archive(str(tmp_path / "z"), "zip", out)
    objects = open_objects(f"zip://::{tmp_path}/z.zip")
    for write in (
        lambda: objects.put("a", b""),
        lambda: objects.put_file("a", tmp_path / "z.zip"),
        lambda: objects.delete("dataset.json"),
        lambda: commit_all(objects.url, images(NUM), recipe()),
        lambda: begin("http://127.0.0.1:9/labels", recipe(), [CARD]),
    ):
        with pytest.raises((ConfigError, StorageUnreachable)):
            write()
    with pytest.raises(ConfigError, match="can be read and not be written to; give a folder"):
        objects.put("a", b"")


def test_an_output_that_was_only_begun_is_empty(tmp_path: Path) -> None:
    """And listed: nothing is refused."""
    begin(str(tmp_path), recipe(), [CARD])
    assert summarise(str(tmp_path)).num_done == 0
    shutil.make_archive(str(tmp_path / "z"), "zip", tmp_path)
    assert summarise(f"zip://::{tmp_path}/z.zip").num_done == 0
