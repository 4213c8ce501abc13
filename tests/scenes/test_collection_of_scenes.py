"""A collection on disk: read back exactly, listed as `redepth label` lists, and by the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from redepth.errors import ConfigError, IntegrityError
from redepth.images.collection import list_images
from redepth.scenes.collection import read_collection, read_truth, write_collection
from redepth.scenes.families import render_scene
from redepth.scenes.scene import SceneKind, Split


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    ticks: list[int] = []
    rows = write_collection(
        tmp_path, ["coins", "wires"], 2, 32, Split.HELD_OUT, 5, lambda: ticks.append(1)
    )
    assert read_collection(tmp_path) == rows
    assert len(ticks) == len(rows) == 4
    assert {row.kind for row in rows} == {SceneKind.RELIEF, SceneKind.OBJECTS}
    for row in rows:
        scene, truth = render_scene(row.family, row.seed, 32, row.split), read_truth(tmp_path, row)
        assert np.array_equal(truth.depth_hw, scene.depth_hw)
        assert np.allclose(truth.normal_hw3, scene.normal_hw3, atol=1e-3)
        assert np.array_equal(truth.mask_hw, scene.mask_hw)
        assert truth.light_3.tolist() == pytest.approx(scene.light_direction)
        assert truth.camera == scene.camera
        assert row.focal_px == (None if scene.camera is None else scene.camera.focal_x_px)


def test_a_list_of_before_says_no_focal_length(tmp_path: Path) -> None:
    rows = write_collection(tmp_path, ["wires"], 1, 32, Split.TRAIN)
    path = tmp_path / "list.csv"
    lines = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    assert read_collection(tmp_path) == [replace(rows[0], focal_px=None)]


def test_the_list_is_one_that_label_reads(tmp_path: Path) -> None:
    rows = write_collection(tmp_path, ["dunes"], 3, 32, Split.TRAIN)
    images = list(list_images(str(tmp_path / "list.csv")))
    assert [image.id for image in images] == [row.id for row in rows]
    assert [image.caption for image in images] == [row.caption for row in rows]
    assert [image.focal_px for image in images] == [None] * 3
    write_collection(tmp_path / "things", ["wires"], 1, 32, Split.TRAIN)
    (thing,) = list_images(str(tmp_path / "things" / "list.csv"))
    assert thing.focal_px is not None and thing.focal_px > 0
    assert [Path(image.uri) for image in images] == [tmp_path / row.uri for row in rows]


def test_a_second_collection_does_not_mix_with_the_first(tmp_path: Path) -> None:
    write_collection(tmp_path, ["dunes"], 1, 16, Split.TRAIN)
    with pytest.raises(ConfigError, match="holds a collection already"):
        write_collection(tmp_path, ["coins"], 1, 16, Split.TRAIN)


def test_an_unknown_family_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cats"):
        write_collection(tmp_path / "new", ["coins", "cats"], 1, 16, Split.TRAIN)
    assert not (tmp_path / "new").exists()


def test_a_folder_without_scenes_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="redepth scenes"):
        read_collection(tmp_path)
    (tmp_path / "list.csv").write_text("uri\na.png\n")
    with pytest.raises(IntegrityError, match="not a list of scenes"):
        read_collection(tmp_path)


def test_the_command_writes_collection_and_sheet(tmp_path: Path) -> None:
    out = tmp_path / "scenes"
    arguments = ["scenes", "--count", "2", "--family", "coins", "--family", "faces", "--size", "32"]
    done = CliRunner().invoke(app, [*arguments, "--split", "tuning", "--out", str(out)])
    assert done.exit_code == 0, done.output
    rows = read_collection(out)
    assert [row.split for row in rows] == [Split.TUNING] * 4
    assert (out / "contact_sheet.png").read_bytes().startswith(b"\x89PNG")
    assert "4 scenes in " in done.output
