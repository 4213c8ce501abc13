"""redepth show --points: from labels in metres to a cloud, on an output as a run writes it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from redepth.config import Recipe
from redepth.exports.request import ExportRequest
from redepth.exports.writing import export_labels
from redepth.quantities import REFINED
from redepth.store.dataset import begin
from redepth.store.manifest import read_shard_plans
from redepth.store.planning import plan_labels
from redepth.store.reader import open_labels
from redepth.store.shards import write_shard
from redepth.store.verification import verify_labels
from redepth.types import (
    DepthKind,
    FocalSource,
    ImageRef,
    Label,
    LabelArrays,
    LabelRow,
    ModelCard,
    Outcome,
)
from tests.flows.test_cli import run

SIZES = {"a": (12, 16), "b": (8, 10), "c": (8, 10)}
SKY_ROWS = 3
Show = Callable[..., tuple[int, str]]


def metric_label(ref: ImageRef, kind: DepthKind) -> Label:
    """A floor of 1 to 70 m below a sky that has no depth; nobody says the focal length of b."""
    height_px, width_px = SIZES[ref.id]
    path = Path(ref.uri)
    column_hw = np.tile(np.linspace(70, 1, height_px, dtype=np.float32)[:, None], (1, width_px))
    if kind is DepthKind.METRIC_DEPTH:
        column_hw[:SKY_ROWS] = np.nan
    absent = np.full_like(column_hw, np.nan)
    row = LabelRow(
        id=ref.id, uri=ref.uri, outcome=Outcome.REFINED, kind=kind,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None,
        height_px=height_px, width_px=width_px, image_height_px=10 * height_px,
        image_width_px=10 * width_px, num_members=1,
        focal_px=20.0 if ref.id == "a" else None,
        focal_source=FocalSource.EXIF if ref.id == "a" else None,
        far_share=SKY_ROWS / height_px if kind is DepthKind.METRIC_DEPTH else None,
    )  # fmt: skip
    return Label(row, LabelArrays.of_depth(column_hw, column_hw, absent, absent))


def write_output(folder: Path, kind: DepthKind = DepthKind.METRIC_DEPTH) -> Path:
    recipe = Recipe(name="test")
    refs = []
    for name, (height_px, width_px) in SIZES.items():
        path = folder / f"{name}.png"
        Image.new("RGB", (10 * width_px, 10 * height_px), (200, 100, 50)).save(path)
        refs.append(ImageRef(name, str(path)))
    out = str(folder / "labels")
    begin(out, recipe, [ModelCard("coarse", "m", "m", None, "0" * 64, "MIT")])
    plan = plan_labels(refs, out, recipe)
    assert plan.manifest is not None
    for shard in read_shard_plans(plan.manifest, 0, plan.num_shards):
        labels = [metric_label(ref, kind) for ref in shard.images]
        write_shard(out, shard, labels, recipe.labels.storage)
    return folder / "labels"


@pytest.fixture
def show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Show:
    monkeypatch.chdir(tmp_path)
    write_output(tmp_path)
    return lambda *arguments: run(capsys, monkeypatch, "show", "labels", *arguments)


def test_a_cloud_has_the_points_and_colours_of_the_label(show: Show, tmp_path: Path) -> None:
    code, said = show("a", "--points", "a.ply", "--view", "a-view.png", "--keep-edges")
    assert code == 0
    assert "48 without depth" in said
    cloud = trimesh.load(tmp_path / "a.ply")
    assert len(cloud.vertices) == 9 * 16
    assert set(map(tuple, cloud.colors[:, :3].tolist())) == {(200, 100, 50)}
    x, y, z = cloud.vertices[-1]  # the lowest pixel at the right
    assert (x, y, z) == pytest.approx((7.5 / 20, 5.5 / 20, 1.0))
    with Image.open(tmp_path / "a-view.png") as picture:
        assert picture.width > 2 * picture.height
    assert "focal_source" in said and "exif" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "nobody says the focal length of b: give --focal"),
        (("--focal", "5", "--fov", "60"), "give one of them"),
        (("--fov", "190"), "expected 1 to 175"),
        (("--focal", "0.35"), "not in millimetres"),
    ],
)
def test_a_cloud_needs_one_possible_camera(
    show: Show, options: tuple[str, ...], words: str
) -> None:
    code, said = show("b", "--points", "b.ply", *options)
    assert code == 2
    assert words in " ".join(said.split())


def test_focal_and_fov_are_of_the_photograph(show: Show, tmp_path: Path) -> None:
    show("b", "--points", "focal.ply", "--focal", "50", "--keep-edges")
    show("b", "--points", "fov.ply", "--fov", "90", "--keep-edges")
    first, second = (trimesh.load(tmp_path / f"{n}.ply").vertices for n in ("focal", "fov"))
    np.testing.assert_allclose(first, second, rtol=1e-5)
    assert first[-1].tolist() == pytest.approx([4.5 / 5, 3.5 / 5, 1.0])


def test_a_label_of_unknown_scale_has_no_cloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_output(tmp_path, DepthKind.AFFINE_DISPARITY)
    code, said = run(capsys, monkeypatch, "show", "labels", "a", "--points", "a.ply")
    assert code == 2
    assert "its scale and shift are unknown" in " ".join(said.split())
    assert not (tmp_path / "a.ply").exists()


def test_a_label_of_unknown_scale_is_shown_at_a_ratio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_output(tmp_path, DepthKind.AFFINE_DEPTH)
    files = ("--points", "a.ply", "--mesh", "a.glb", "--view", "view.png", "--keep-edges")
    code, said = run(capsys, monkeypatch, "show", "labels", "a", *files, "--far-ratio", "5")
    assert code == 0
    words = "none: scale and shift are unknown; the nearest point is put at 1, the farthest at 5"
    assert words in " ".join(said.split())
    assert f"comment unit: {words}\n".encode() in (tmp_path / "a.ply").read_bytes()
    z = trimesh.load(tmp_path / "a.ply").vertices[:, 2]
    assert (z.min(), z.max()) == pytest.approx((1.0, 5.0))


def test_a_surface_is_written_beside_the_cloud(show: Show, tmp_path: Path) -> None:
    code, said = show("a", "--mesh", "a.glb")
    assert code == 0 and "a.glb" in said
    (surface,) = trimesh.load(tmp_path / "a.glb").geometry.values()
    assert 0 < len(surface.faces) < 2 * 8 * 15, "the floor is steep far away"
    z_m = np.linspace(70, 1, 12)
    steep_m = np.tan(np.radians(85)) / 20 * z_m[1:]
    nearest_m = z_m[1:][np.abs(np.diff(z_m)) <= steep_m].min()
    assert surface.bounds[1, 2] == pytest.approx(-nearest_m)


def test_labels_with_holes_are_verified_read_and_exported(tmp_path: Path) -> None:
    """The sky takes whole rows: padding and holes are told from each other."""
    labels = open_labels(str(write_output(tmp_path)))
    assert verify_labels(labels.url).problems == ()
    for name, size in SIZES.items():
        refined = labels[name].refined
        assert refined.shape == size
        assert np.isnan(refined[:SKY_ROWS]).all() and np.isfinite(refined[SKY_ROWS:]).all()
    request = ExportRequest("png16", ("refined",))
    num_lost = export_labels(labels, str(tmp_path / "png"), request).num_lost
    depth = labels["a"].refined
    with Image.open(tmp_path / "png/refined/a.png") as image:
        codes = np.asarray(image)
    fits = np.nan_to_num(depth) * 1000 <= 65535
    assert (codes[:SKY_ROWS] == 0).all()
    np.testing.assert_array_equal(codes[fits], np.rint(np.nan_to_num(depth)[fits] * 1000))
    assert (codes[~fits] == 0).all()
    beyond = sum(int((labels[n].refined > 65.535).sum()) for n in SIZES)
    assert num_lost == beyond


def test_what_a_metric_label_must_not_have_is_found(tmp_path: Path) -> None:
    def spoil(label: Label, how: str) -> Label:
        arrays = label.arrays
        assert arrays is not None
        refined = arrays["refined"].copy()
        if how == "beyond":
            refined[0, 0] = 5
        if how == "behind":
            refined[-1, 0] = -1
        row = replace(label.row, far_share=0.9) if how == "share" else label.row
        maps = {quantity: arrays[quantity.name] for quantity in arrays.quantities}
        return Label(row, LabelArrays({**maps, REFINED: refined}))

    for how, words in {
        "beyond": "beyond the far limit", "behind": "not above 0 m", "share": "far_share is 0.9",
    }.items():  # fmt: skip
        out, recipe = str(tmp_path / how), Recipe(name="test")
        begin(out, recipe, [ModelCard("coarse", "m", "m", None, "0" * 64, "MIT")])
        plan = plan_labels([ImageRef("a", "a.png")], out, recipe)
        (shard,) = read_shard_plans(str(plan.manifest), 0, 1)
        label = spoil(metric_label(shard.images[0], DepthKind.METRIC_DEPTH), how)
        write_shard(out, shard, [label], recipe.labels.storage)
        assert any(words in problem for problem in verify_labels(out).problems)
