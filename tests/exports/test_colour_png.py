"""Pictures to look at: of the photographs' sizes, in their folders, made anew in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from redepth.config import Storage, load_recipe
from redepth.errors import ConfigError
from redepth.exports.items import tree_names
from redepth.exports.reading import open_export
from redepth.exports.request import ExportRequest
from redepth.exports.writing import begin_export, export_labels
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.reader import Labels, open_labels
from redepth.store.shards import write_shard
from redepth.types import DepthKind, ImageRef, Label
from tests.exports.export_samples import label, some_maps

REQUEST = ExportRequest("colour-png", ("refined",))
TREE = ("day 1/a.jpg", "day 1/b.jpg", "day 2/a.jpg", "day 2/a.png")


def _labels(out: Path, uris: Sequence[str]) -> Labels:
    begin(str(out), load_recipe("mini"), [])
    refs = tuple(ImageRef(f"id-{i}", f"/photos/{uri}") for i, uri in enumerate(uris))
    maps = some_maps([ref.id for ref in refs])
    found = [label(ref, maps[ref.id], DepthKind.AFFINE_DEPTH) for ref in refs]
    rows = [replace(one.row, image_width_px=40, image_height_px=30) for one in found]
    labels = [Label(row, one.arrays) for row, one in zip(rows, found, strict=True)]
    write_shard(str(out), ShardPlan("0" * 16, "0" * 16, refs), labels, Storage())
    return open_labels(str(out))


def test_pictures_lie_as_the_photographs_do(tmp_path: Path) -> None:
    labels = _labels(tmp_path / "labels", TREE)
    assert export_labels(labels, str(tmp_path / "out"), REQUEST).num_images == len(TREE)
    root = tmp_path / "out" / "refined"
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    assert found[:2] == ["day%201/a.png", "day%201/b.png"]
    assert len(found) == 4 and all(name.startswith("day%202/a%-") for name in found[2:])
    with Image.open(root / "day%201" / "a.png") as picture:
        assert (picture.size, picture.mode) == ((40, 30), "RGB")
        assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 10


def test_what_is_there_is_left_alone_and_what_is_not_is_written(tmp_path: Path) -> None:
    labels, out = _labels(tmp_path / "labels", TREE), str(tmp_path / "out")
    export_labels(labels, out, REQUEST)
    assert not begin_export(labels, out, REQUEST).pending
    (tmp_path / "out" / "refined" / "day%201" / "b.png").unlink()
    assert [row.id for row in begin_export(labels, out, REQUEST).pending] == ["id-1"]


def test_pictures_are_no_numbers(tmp_path: Path) -> None:
    export_labels(_labels(tmp_path / "labels", TREE[:2]), str(tmp_path / "out"), REQUEST)
    with pytest.raises(ConfigError, match="holds no numbers: export again as png16"):
        open_export(str(tmp_path / "out")).read("id-0", "refined")


@pytest.mark.parametrize(
    ("uris", "names"),
    [
        (["/p/a.jpg"], ["a"]),
        (["s3://b/p/x/a.jpg", "s3://b/p/y/b.jpg"], ["x/a", "y/b"]),
        (["/p/a.jpg", "/p/x/b.jpg"], ["a", "x/b"]),
        (["/p/../a.jpg", "/q/b.v2.jpg"], ["p/%2E%2E/a", "q/b%2Ev2"]),
    ],
)
def test_the_folders_that_all_share_are_left_out(uris: list[str], names: list[str]) -> None:
    assert tree_names([str(i) for i in range(len(uris))], uris) == names


@given(st.lists(st.text("aAbB./é%", min_size=1, max_size=12), unique=True, min_size=1, max_size=8))
def test_no_two_photographs_share_a_picture(paths: list[str]) -> None:
    uris = [f"/photos/{path}" for path in paths]
    names = tree_names(paths, uris)
    assert len({name.lower() for name in names}) == len(paths)
    assert all(part and part.strip(".") for name in names for part in name.split("/"))
