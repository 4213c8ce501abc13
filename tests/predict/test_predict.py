"""One photograph at once: the maps of the pipeline, in whatever form the photograph comes."""

from __future__ import annotations

import pydoc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import redepth
from flows.cli import app
from redepth.config import load_recipe
from redepth.errors import ConfigError, ImageRejected
from redepth.exports import png16
from redepth.labelling.labeller import load_labeller
from redepth.predict import Picture, Refined, RefinedList, Refiner
from redepth.types import DepthKind, ImageRef, Outcome

PIXELS = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def refiner() -> Refiner:
    return Refiner("mini-coarse")


@pytest.fixture(scope="module")
def metric() -> Refined:
    return redepth.refine(PIXELS, "mini-metric", fov_deg=60.0)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "wall.png"
    Image.fromarray(PIXELS).save(path)
    return path


def test_the_maps_are_those_of_the_pipeline(refiner: Refiner, photo: Path) -> None:
    label = load_labeller(load_recipe("mini-coarse").labels).label(ImageRef("wall", str(photo)))
    refined = refiner(photo)
    assert label.arrays is not None
    assert all(np.array_equal(refined.maps[n], m, equal_nan=True) for n, m in label.arrays.items())
    assert refined.row.outcome is Outcome.REFINED
    assert (refined.row.id, refined.kind) == ("wall", DepthKind.AFFINE_DISPARITY)
    assert refined.photograph_hw3.shape == (60, 90, 3)


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(PIXELS),
        PIXELS,
        PIXELS.astype(np.float32) / 255,
        torch.from_numpy(PIXELS).permute(2, 0, 1),
        torch.from_numpy(PIXELS).permute(2, 0, 1).double() / 255,
        np.dstack([PIXELS, np.full((60, 90), 255, np.uint8)]),
    ],
    ids=["PIL", "uint8", "float", "tensor", "float tensor", "RGBA"],
)
def test_every_form_of_a_picture_gives_the_same(
    refiner: Refiner, photo: Path, picture: Picture
) -> None:
    assert np.array_equal(refiner(picture).refined, refiner(str(photo)).refined)


def test_a_picture_that_lies_on_its_side_is_turned(refiner: Refiner) -> None:
    image = Image.fromarray(np.rot90(PIXELS))
    image.getexif()[0x0112] = 6  # turn by 90 degrees clockwise
    assert np.array_equal(refiner(image).refined, refiner(PIXELS).refined)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((2, 2, 2), np.uint8), r"\[H, W, 3\].* got \[2, 2, 2\]"),
        (np.zeros((4,), np.uint8), r"got \[4\]"),
        (np.full((4, 4), 2.0), r"lies in 0\.\.1, got 2\.\.2"),
        (np.full((4, 4), np.nan), r"lies in 0\.\.1"),
        (np.zeros((4, 4, 3), np.int64), "uint8, or floats in 0..1, got int64"),
        (["a.png", "b.png"], "one picture a call: Refiner.many or redepth.refine take several"),
        (torch.zeros(5, 4, 3), r"\(a tensor \[C, H, W\]\), got \[4, 3, 5\]"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_is(
    refiner: Refiner, picture: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        refiner(picture)


def test_a_file_that_is_no_photograph_is_rejected(refiner: Refiner, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no photograph")
    with pytest.raises(ImageRejected, match="notes"):
        refiner(tmp_path / "notes.jpg")
    with pytest.raises(ImageRejected, match=r"nothing\.jpg: no such file"):
        refiner(tmp_path / "nothing.jpg")


def test_what_is_saved_is_read_back(refiner: Refiner, photo: Path, tmp_path: Path) -> None:
    refined = refiner(photo)
    colours, sidecar, png, npy = refined.save(tmp_path / "maps", ("colour-png", "png16", "npy"))
    assert [path.name for path in (colours, sidecar, png, npy)] == [
        "wall-refined-colours.png", "wall-refined.json", "wall-refined.png", "wall-refined.npy",
    ]  # fmt: skip
    assert np.array_equal(np.load(npy), refined.refined)
    read = png16.decode(png.read_bytes(), sidecar.read_bytes())
    largest = float(np.abs(read - refined.refined).max())
    assert largest <= float(np.ptp(refined.refined)) / 65000
    with Image.open(colours) as picture:
        assert (picture.size, picture.mode) == ((90, 60), "RGB")


def test_metric_maps_are_points(metric: Refined, tmp_path: Path) -> None:
    known = np.isfinite(metric.refined).sum()
    assert 0 < len(metric.points()) <= known
    ply, glb = metric.save(tmp_path, ("ply", "glb"))
    assert ply.read_bytes().startswith(b"ply") and glb.read_bytes().startswith(b"glTF")
    assert b"comment unit: metres\n" in ply.read_bytes()
    assert len(metric.mesh().faces_m3) > 0


def test_points_take_metres_and_many_labels_an_output(refiner: Refiner, tmp_path: Path) -> None:
    refined = refiner(PIXELS)
    with pytest.raises(ConfigError, match="takes a label in metres"):
        refined.save(tmp_path, ("ply",))
    z = refined.points(focal_px=50.0, far_ratio=4.0).xyz_n3[:, 2]
    assert z.min() >= 1 and z.max() <= 4.001
    with pytest.raises(ConfigError, match="webdataset takes many labels"):
        refined.save(tmp_path, ("npy", "webdataset"))
    with pytest.raises(ConfigError, match="jpeg"):
        refined.save(tmp_path, ("jpeg",))
    assert list(tmp_path.iterdir()) == [], "nothing is written by halves"


def test_a_notebook_shows_it(refiner: Refiner) -> None:
    refined = refiner(PIXELS)
    assert refined._repr_html_().startswith('<img alt="refined" src="data:image/png;base64,')
    assert "affine_invariant_disparity" in repr(refined)
    assert refined.plot().size > refined.colours().size


def test_models_are_loaded_once_for_many(refiner: Refiner, photo: Path) -> None:
    assert [refined.row.id for refined in refiner.many([photo, photo])] == ["wall", "wall"]


def test_a_list_is_refined_and_saved_as_one(photo: Path, tmp_path: Path) -> None:
    both = redepth.refine([photo, PIXELS], "mini-coarse")
    assert len(both) == 2 and both[0].row.id == "wall"
    assert isinstance(both[1:], RefinedList) and list(both[1:]) == [both[1]]
    assert len(both.save(tmp_path / "maps", ["npy"])) == 2
    assert both.plot().size[1] > 200
    assert both._repr_html_().count("<img") == 2
    assert repr(both).startswith("RefinedList(Refined('wall', refined")
    with pytest.raises(ConfigError, match="takes a label in metres"):
        both.points()


def test_a_list_with_one_name_twice_is_not_saved(refiner: Refiner, tmp_path: Path) -> None:
    twice = RefinedList(list(refiner.many([PIXELS, PIXELS], progress=True)))
    with pytest.raises(ConfigError, match="several photographs are named"):
        twice.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_package_shows_what_it_has() -> None:
    shown = {"refine", "Refiner", "Refined", "RefinedList", "open_labels"}
    assert shown <= set(dir(redepth)) and all(getattr(redepth, name).__doc__ for name in shown)
    said = pydoc.plain(pydoc.render_doc(redepth))
    assert all(f"{name}(" in said for name in shown), "help(redepth) has their signatures"
    assert Path(redepth.__file__).with_name("py.typed").exists()
    assert redepth.Refiner is Refiner


class TestCommand:
    def test_each_photograph_is_written_or_said(self, photo: Path, tmp_path: Path) -> None:
        (tmp_path / "notes.jpg").write_text("no photograph")
        command = ["predict", str(tmp_path / "notes.jpg"), str(photo), "--recipe", "mini-coarse"]
        done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "maps")])
        assert done.exit_code == 1
        assert "error: notes: " in done.output
        assert (tmp_path / "maps" / "wall-refined-colours.png").exists()

    def test_an_unknown_format_is_refused_before_any_model_is_loaded(self, photo: Path) -> None:
        command = ["predict", str(photo), "--recipe", "mini", "--formats", "jpg"]
        done = CliRunner().invoke(app, command)
        assert isinstance(done.exception, ConfigError)
        assert "'jpg'" in str(done.exception) and "colour-png" in str(done.exception)

    def test_a_file_in_the_place_of_the_folder_is_said(self, photo: Path) -> None:
        command = ["predict", str(photo), "--recipe", "mini-coarse", "--out", str(photo)]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 1
        assert "maps cannot be written into" in done.output

    @pytest.mark.parametrize(
        ("name", "words"),
        [("typo.jpg", "typo.jpg: no such file"), ("", "is a folder; to label all that is in it")],
    )
    def test_what_is_no_file_is_said_before_any_model_is_loaded(
        self, tmp_path: Path, name: str, words: str
    ) -> None:
        done = CliRunner().invoke(app, ["predict", str(tmp_path / name), "--recipe", "none"])
        assert isinstance(done.exception, ConfigError)
        assert words in str(done.exception)

    def test_one_name_for_two_photographs_is_refused(self, photo: Path, tmp_path: Path) -> None:
        other = tmp_path / "wall.jpg"
        other.write_bytes(photo.read_bytes())
        done = CliRunner().invoke(app, ["predict", str(photo), str(other), "--recipe", "mini"])
        assert isinstance(done.exception, ConfigError)
        assert "named 'wall'" in str(done.exception)
