"""Exports of a posed scene, read as the trainers read them, against the scene's true depth.

The readers here are written from the trainers' published ones: gaussian-splatting's
scene/dataset_readers.py and utils/camera_utils.py, nerfstudio's nerfstudio_dataparser.py and
depth_dataset.py, COLMAP's scripts/python/read_write_dense.py.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from redepth.config import Storage
from redepth.errors import ConfigError
from redepth.exports import exporters
from redepth.exports.ply import ply_of
from redepth.exports.reading import open_export
from redepth.exports.request import ExportRequest
from redepth.exports.writing import Exported, begin_export, export_labels, write_pending
from redepth.scenes.views import PosedView
from redepth.store.manifest import ShardPlan
from redepth.store.reader import open_labels
from redepth.store.shards import write_shard
from redepth.types import DepthKind, FloatMap, ImageRef
from tests.exports.posed_samples import (
    NAMES,
    SIZE_PX,
    PosedSample,
    label_of,
    write_labels,
    write_posed,
)
from tests.reconstruction.colmap_samples import Doubles, SampleCamera, SampleModel, two_views

KINDS = tuple(DepthKind)
KEPT = {"keep_edges": True}
POSED = ("colmap-depth", "nerfstudio", "gaussian-splatting")


def export(sample: PosedSample, format: str, out: Path, **settings: object) -> Exported:
    known = exporters[format].settings.model_fields
    chosen = {name: value for name, value in settings.items() if name in known}
    values = {"colmap": str(sample.colmap), **chosen}
    request = ExportRequest(format, ("refined", "confidence"), settings=values)
    return export_labels(sample.labels, str(out), request)


@pytest.fixture(scope="module")
def disparity(tmp_path_factory: pytest.TempPathFactory) -> PosedSample:
    return write_posed(tmp_path_factory.mktemp("posed"))


def read_gaussian_splatting(scene: Path, names: tuple[str, ...]) -> dict[str, FloatMap | None]:
    """Return inverse depth by name as the trainer has it; None of what it calls unreliable."""
    params = json.loads((scene / "sparse/0/depth_params.json").read_text())
    scales = np.array([one["scale"] for one in params.values()])
    median = np.median(scales[scales > 0]) if (scales > 0).any() else 0
    found: dict[str, FloatMap | None] = {}
    for name in names:
        stem = name[: -len(name.split(".")[-1]) - 1]
        with Image.open(scene / "depths" / f"{stem}.png") as image:
            assert image.mode == "I;16"
            inverse = np.asarray(image).astype(np.float32) / float(2**16)
        scale, offset = params[stem]["scale"], params[stem]["offset"]
        reliable = 0.2 * median <= scale <= 5 * median
        found[name] = inverse * scale + offset if reliable else None
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_gaussian_splatting_reads_the_true_inverse_depth(kind: DepthKind, tmp_path: Path) -> None:
    sample = write_posed(tmp_path, kind)
    exported = export(sample, "gaussian-splatting", tmp_path / "out", **KEPT)
    assert exported.num_images == 5 and exported.num_lost == 0
    for name, inverse_hw in read_gaussian_splatting(tmp_path / "out", NAMES).items():
        assert inverse_hw is not None
        np.testing.assert_allclose(inverse_hw, 1 / sample.depth(name), rtol=5e-3)


def read_colmap_array(path: Path) -> FloatMap:
    """Return [H, W] or [H, W, C]."""
    width, height, channels, data = path.read_bytes().split(b"&", 3)
    shape = int(width), int(height), int(channels)
    values = np.frombuffer(data, "<f4")
    assert values.size == np.prod(shape)
    array: FloatMap = np.transpose(values.reshape(shape, order="F"), (1, 0, 2)).squeeze()
    return array


@pytest.mark.parametrize("kind", KINDS)
def test_colmap_reads_the_true_depth_and_normals(kind: DepthKind, tmp_path: Path) -> None:
    sample = write_posed(tmp_path, kind)
    export(sample, "colmap-depth", tmp_path / "out", **KEPT)
    stereo = tmp_path / "out" / "stereo"
    assert (stereo / "fusion.cfg").read_text().splitlines() == sorted(NAMES)
    for name, view in zip(NAMES, sample.views, strict=True):
        depth_hw = read_colmap_array(stereo / "depth_maps" / f"{name}.geometric.bin")
        np.testing.assert_allclose(depth_hw, sample.depth(name), rtol=5e-3)
        normals_hw3 = read_colmap_array(stereo / "normal_maps" / f"{name}.geometric.bin")
        true_hw3 = view.scene.normal_hw3 * [-1, 1, -1]  # from the lighting to the camera frame
        cosines_hw = (normals_hw3 * true_hw3).sum(axis=2)
        assert np.median(cosines_hw) > 0.999 and (cosines_hw > 0.97).mean() > 0.9
        with Image.open(tmp_path / "out" / "masks" / f"{name}.png") as mask:
            assert (np.asarray(mask) == 255).all()


def read_nerfstudio(folder: Path) -> dict[str, dict[str, Any]]:
    """Return every frame by the name of its photograph, its depth in the scene's unit."""
    said = json.loads((folder / "transforms.json").read_text())
    assert said["camera_model"] in ("OPENCV", "OPENCV_FISHEYE", "EQUIRECTANGULAR")
    assert (folder / said["ply_file_path"]).is_file()
    frames = {}
    for frame in said["frames"]:
        assert {"fl_x", "fl_y", "cx", "cy", "w", "h", "transform_matrix"} <= frame.keys()
        path = folder / frame["depth_file_path"]
        if path.suffix == ".npy":
            depth_hw = np.load(path).astype(np.float32) * 1e-3
        else:
            with Image.open(path) as image:
                depth_hw = np.asarray(image).astype(np.float32) * 1e-3
        assert (folder / frame["file_path"]).is_file()
        frames[frame["file_path"]] = {**frame, "depth": depth_hw}
    return frames


@pytest.mark.parametrize("png", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_nerfstudio_reads_the_true_depth_and_poses(
    kind: DepthKind, png: bool, tmp_path: Path
) -> None:
    sample = write_posed(tmp_path, kind)
    export(sample, "nerfstudio", tmp_path / "out", png=png, **KEPT)
    frames = read_nerfstudio(tmp_path / "out")
    for name, view in zip(NAMES, sample.views, strict=True):
        frame = frames[str(tmp_path / "images" / name)]
        np.testing.assert_allclose(frame["depth"], sample.depth(name), rtol=5e-3)
        world_n3 = of_opengl(frame)
        true_n3 = view.scene.camera.unproject(view.scene.depth_hw) - view.translation_3  # type: ignore[union-attr]
        np.testing.assert_allclose(world_n3, true_n3 @ view.rotation_33, atol=0.05)


def of_opengl(frame: Mapping[str, Any]) -> FloatMap:
    """Return the points of a frame in the world, as a trainer shoots its rays."""
    rows, columns = np.mgrid[: frame["h"], : frame["w"]] + 0.5
    x = (columns - frame["cx"]) / frame["fl_x"]
    y = -(rows - frame["cy"]) / frame["fl_y"]
    rays_hw3 = np.stack([x, y, -np.ones_like(x)], axis=2)
    pose_44 = np.array(frame["transform_matrix"])
    points: FloatMap = (rays_hw3 * frame["depth"][..., None]) @ pose_44[:3, :3].T + pose_44[:3, 3]
    return points


def test_with_the_photographs_intrinsics_are_those_of_the_label(
    tmp_path: Path,
) -> None:
    sample = write_posed(tmp_path, smoothed=True)
    settings = {"colmap": str(sample.colmap), "masks": True}
    request = ExportRequest("nerfstudio", ("refined",), None, True, settings)
    export_labels(sample.labels, str(tmp_path / "out"), request)
    frames = read_nerfstudio(tmp_path / "out")
    assert sorted(frames) == [f"images/{name}" for name in NAMES]
    for path, frame in frames.items():
        with Image.open(tmp_path / "out" / path) as image:
            assert image.size == (frame["w"], frame["h"]) == (SIZE_PX, SIZE_PX)
        with Image.open(tmp_path / "out" / frame["mask_path"]) as mask:
            masked = np.asarray(mask) > 0
        np.testing.assert_array_equal(masked, frame["depth"] > 0)
        assert not masked.all(), "pixels between two surfaces are left out"


@pytest.mark.parametrize("format", POSED)
def test_how_labels_were_aligned_is_written_beside(
    format: str, disparity: PosedSample, tmp_path: Path
) -> None:
    exported = export(disparity, format, tmp_path / "out")
    with (tmp_path / "out" / "alignment.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == sorted(NAMES)
    for row in rows:
        assert (row["outcome"], row["reason"]) == ("aligned", "")
        assert float(row["scale"]) == pytest.approx(0.05, rel=0.01)
        assert float(row["shift"]) == pytest.approx(0.02, abs=2e-3)
        assert int(row["num_points"]) > 60 and float(row["inlier_share"]) > 0.9
        assert float(row["residual"]) < 0.01
        record = json.loads((tmp_path / "out" / "alignment" / f"{row['image']}.json").read_text())
        assert record["id"] == row["id"]
    facts = open_export(str(tmp_path / "out")).facts
    refined, confidence = facts["quantities"]["refined"], facts["quantities"]["confidence"]
    assert refined["kind"].endswith("z-depth") and "reconstruction" in refined["unit"]
    assert confidence["value"] == "code / 65535" and confidence["unit"] == "share, 0 to 1"
    assert facts["complete"] and facts["scene"]["aligned"] == 5 and not facts["scene"]["unaligned"]
    assert exported.remarks["aligned"].startswith("5 of 5, median inlier share 1")


def test_confidence_is_written_as_a_weight(disparity: PosedSample, tmp_path: Path) -> None:
    export(disparity, "gaussian-splatting", tmp_path / "out")
    for name in NAMES:
        with Image.open(tmp_path / "out" / "confidence" / name) as image:
            weights_hw = np.asarray(image) / 65535
        expected_hw = disparity.labels[disparity.label_id(name)].confidence
        np.testing.assert_allclose(weights_hw, expected_hw, atol=1e-3)


def test_what_is_not_sure_enough_has_no_depth(disparity: PosedSample, tmp_path: Path) -> None:
    export(disparity, "colmap-depth", tmp_path / "out", min_confidence="0.5", **KEPT)
    for name in NAMES:
        depth_hw = read_colmap_array(tmp_path / "out/stereo/depth_maps" / f"{name}.geometric.bin")
        sure_hw = disparity.labels[disparity.label_id(name)].confidence >= 0.5
        np.testing.assert_array_equal(depth_hw > 0, sure_hw)


def test_what_hangs_between_two_surfaces_has_no_depth_unless_kept(
    tmp_path: Path,
) -> None:
    sample = write_posed(tmp_path, smoothed=True)
    export(sample, "colmap-depth", tmp_path / "out")
    shares = [
        (
            read_colmap_array(tmp_path / "out/stereo/depth_maps" / f"{name}.geometric.bin") == 0
        ).mean()
        for name in NAMES
    ]
    assert 0 < np.mean(shares) < 0.1


def test_gaussian_splatting_keeps_what_has_no_mask(tmp_path: Path) -> None:
    """Else its trainer would take edges, and what is unsure, for infinitely far."""
    sample = write_posed(tmp_path, smoothed=True)
    export(sample, "gaussian-splatting", tmp_path / "out")
    found = read_gaussian_splatting(tmp_path / "out", NAMES)
    assert all(inverse_hw is not None and (inverse_hw > 0).all() for inverse_hw in found.values())
    fields = exporters["gaussian-splatting"].settings.model_fields
    assert not {"min_confidence", "keep_edges"} & fields.keys()


def test_a_sky_has_no_depth(tmp_path: Path) -> None:
    """A disparity goes on to 0: what lies far behind all points is not known to be anywhere."""
    sample = write_posed(tmp_path)
    sky_hw = sample.depth(NAMES[0]).copy()
    sky_hw[:8] = 200.0
    made = label_of(0, tmp_path / "images" / NAMES[0], sky_hw, DepthKind.AFFINE_DISPARITY)
    labels = write_labels(tmp_path / "sky", [made])
    skies = replace(sample, labels=labels)
    export(skies, "colmap-depth", tmp_path / "out", **KEPT)
    export(skies, "colmap-depth", tmp_path / "kept", max_depth_ratio="1e9", **KEPT)
    depth_hw, kept_hw = (
        read_colmap_array(tmp_path / out / "stereo/depth_maps" / f"{NAMES[0]}.geometric.bin")
        for out in ("out", "kept")
    )
    assert (depth_hw[:8] == 0).all() and (depth_hw[8:] > 0).all()
    assert (kept_hw[:8] > 80).all()


@pytest.mark.parametrize("format", POSED)
def test_a_picture_with_too_few_points_is_unaligned_and_said_so(
    format: str, tmp_path: Path
) -> None:
    sample = write_posed(tmp_path)
    images = (sample.colmap / "images.txt").read_text().splitlines()
    place = next(i for i, line in enumerate(images) if line.endswith(NAMES[1]))
    images[place + 1] = " ".join(images[place + 1].split()[:30])  # ten features
    (sample.colmap / "images.txt").write_text("\n".join(images) + "\n")
    exported = export(sample, format, tmp_path / "out", **KEPT)
    assert exported.num_images == 5
    assert exported.remarks["unaligned"] == "1: it sees N points, expected N or more"
    record = json.loads((tmp_path / "out" / "alignment" / f"{NAMES[1]}.json").read_text())
    assert record["outcome"] == "unaligned" and record["scale"] is None
    if format == "gaussian-splatting":
        found = read_gaussian_splatting(tmp_path / "out", NAMES)
        assert [name for name, inverse in found.items() if inverse is None] == [NAMES[1]]
    elif format == "nerfstudio":
        frames = read_nerfstudio(tmp_path / "out")
        assert (frames[str(tmp_path / "images" / NAMES[1])]["depth"] == 0).all()
    else:
        assert NAMES[1] not in (tmp_path / "out/stereo/fusion.cfg").read_text().splitlines()


def test_a_photograph_that_was_turned_is_unaligned(tmp_path: Path) -> None:
    sample = write_posed(tmp_path)
    cameras = (sample.colmap / "cameras.txt").read_text()
    (sample.colmap / "cameras.txt").write_text(cameras.replace("64 64", "64 48"))
    with pytest.raises(ConfigError, match=r"none of 5 labels.*64 x 64, and its camera 64 x 48"):
        export(sample, "colmap-depth", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "export.json").read_text())["complete"] is False


def test_pictures_and_labels_that_do_not_match_are_named_and_counted(tmp_path: Path) -> None:
    sample = write_posed(tmp_path, unlabelled=NAMES[:2])
    exported = export(sample, "gaussian-splatting", tmp_path / "out", **KEPT)
    assert (
        exported.remarks["no label"] == f"2 pictures of the reconstruction: {', '.join(NAMES[:2])}"
    )
    facts = open_export(str(tmp_path / "out")).facts["scene"]
    assert facts["pictures_without_label"] == list(NAMES[:2])
    found = read_gaussian_splatting(tmp_path / "out", NAMES)
    assert [name for name, inverse in found.items() if inverse is None] == list(NAMES[:2])


def test_labels_of_no_picture_are_left_out_and_none_is_an_error(
    disparity: PosedSample, tmp_path: Path
) -> None:
    images = (disparity.colmap / "images.txt").read_text().splitlines()
    (tmp_path / "half").mkdir()
    for part in ("cameras", "points3D"):
        (tmp_path / "half" / f"{part}.txt").write_bytes(
            (disparity.colmap / f"{part}.txt").read_bytes()
        )
    (tmp_path / "half" / "images.txt").write_text("\n".join(images[:5]) + "\n")
    exported = export(disparity, "colmap-depth", tmp_path / "out", colmap=str(tmp_path / "half"))
    assert exported.num_images == 2
    assert exported.remarks["no picture"].startswith("3 labels")
    assert len(open_export(str(tmp_path / "out")).ids) == 2
    elsewhere = two_views()
    SampleModel({1: SampleCamera("PINHOLE", 9, 9, (9, 9, 4, 4))}, elsewhere.images[:1]).write_text(
        tmp_path / "other"
    )
    with pytest.raises(ConfigError, match=r"no label is of a picture.*00\.png"):
        export(disparity, "colmap-depth", tmp_path / "none", colmap=str(tmp_path / "other"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"colmap": None}, "give --colmap DIR"),
        ({"transforms": "x"}, "from one place"),
        ({"colmap": None, "transforms": "x"}, "give lidar"),
        ({"colmap": "nowhere"}, "nowhere holds no COLMAP model"),
        ({"tolerance": "2"}, "less than 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    settings: dict[str, str | None], words: str, disparity: PosedSample, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        export(disparity, "colmap-depth", tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_camera_that_the_trainer_refuses_is_refused(tmp_path: Path) -> None:
    sample = write_posed(tmp_path)
    path = sample.colmap / "cameras.txt"
    path.write_text(path.read_text().replace("PINHOLE", "OPENCV").rstrip() + " 0.1 0 0 0\n")
    for format in ("colmap-depth", "gaussian-splatting"):
        with pytest.raises(ConfigError, match=r"OPENCV camera.*takes SIMPLE_PINHOLE, PINHOLE"):
            export(sample, format, tmp_path / format)
    export(sample, "nerfstudio", tmp_path / "out")
    frames = read_nerfstudio(tmp_path / "out").values()
    assert {(frame["k1"], frame["p2"]) for frame in frames} == {(0.1, 0.0)}


def test_files_of_others_are_not_written_over(disparity: PosedSample, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "transforms.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"has transforms\.json already"):
        export(disparity, "nerfstudio", tmp_path / "out")
    (tmp_path / "out" / "stereo" / "depth_maps" / "a").mkdir(parents=True)
    (tmp_path / "out" / "stereo" / "depth_maps" / "a" / "1.geometric.bin").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"has stereo/depth_maps already"):
        export(disparity, "colmap-depth", tmp_path / "out")
    export(disparity, "gaussian-splatting", tmp_path / "out")
    export(disparity, "gaussian-splatting", tmp_path / "out")


def test_an_export_goes_on_with_the_same_reconstruction_alone(tmp_path: Path) -> None:
    sample = write_posed(tmp_path)
    export(sample, "colmap-depth", tmp_path / "out")
    points = sample.colmap / "points3D.txt"
    points.write_text(points.read_text().replace("10 20 30", "11 20 30"))
    with pytest.raises(ConfigError, match=r"(?s)holds another export.*sources"):
        export(sample, "colmap-depth", tmp_path / "out")


def test_other_maps_and_photographs_are_refused(disparity: PosedSample, tmp_path: Path) -> None:
    values = {"colmap": str(disparity.colmap)}
    for quantities, images, words in (
        (("refined", "spread"), False, "one map of depth"),
        (("refined", "coarse"), False, "one map of depth"),
        (("confidence",), False, "one map of depth"),
        (("refined",), True, "leave out --with-images"),
    ):
        request = ExportRequest("colmap-depth", quantities, None, images, values)
        with pytest.raises(ConfigError, match=words):
            export_labels(disparity.labels, str(tmp_path / "out"), request)
    request = ExportRequest(
        "colmap-depth", ("refined",), settings={**values, "min_confidence": 0.5}
    )
    with pytest.raises(ConfigError, match="no confidence"):
        export_labels(disparity.labels, str(tmp_path / "out"), request)


def test_a_posed_export_is_not_read_back(disparity: PosedSample, tmp_path: Path) -> None:
    export(disparity, "colmap-depth", tmp_path / "out")
    exported = open_export(str(tmp_path / "out"))
    with pytest.raises(ConfigError, match="as colmap-depth holds no numbers: export again"):
        exported.read(exported.ids[0], "refined")


class Killed(BaseException):
    """Stands for SIGKILL: nothing that catches errors may catch it."""


def files(out: Path) -> dict[str, bytes]:
    found = (path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("format", [*POSED, "fused-cloud"])
@pytest.mark.parametrize("images_before", [0, 1, 3])
def test_a_killed_export_goes_on_and_comes_to_the_same(
    format: str, images_before: int, disparity: PosedSample, tmp_path: Path
) -> None:
    request = ExportRequest(format, settings={"colmap": str(disparity.colmap)})
    export_labels(disparity.labels, str(tmp_path / "whole"), request)
    left = iter(range(images_before))

    def kill() -> None:
        if next(left, None) is None:
            raise Killed

    with pytest.raises(Killed):
        write_pending(begin_export(disparity.labels, str(tmp_path / "killed"), request), kill)
    plan = begin_export(disparity.labels, str(tmp_path / "killed"), request)
    assert len(plan.pending) == len(NAMES) - images_before - 1
    write_pending(plan, lambda: None)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_a_label_that_changed_is_exported_anew(tmp_path: Path) -> None:
    sample = write_posed(tmp_path)
    export(sample, "colmap-depth", tmp_path / "out", **KEPT)
    ref = ImageRef(sample.label_id(NAMES[0]), str(tmp_path / "images" / NAMES[0]))
    kind = DepthKind.AFFINE_DISPARITY
    again = label_of(0, Path(ref.uri), sample.depth(NAMES[0]) * 0.5, kind)
    write_shard(sample.labels.url, ShardPlan("a" * 16, f"{'a' * 16}.1", (ref,)), [again], Storage())
    changed = replace(sample, labels=open_labels(sample.labels.url))
    plan = begin_export(changed.labels, str(tmp_path / "out"), request_of(sample, "colmap-depth"))
    assert [row.id for row in plan.pending] == [ref.id]
    write_pending(plan, lambda: None)
    record = json.loads((tmp_path / "out" / "alignment" / f"{NAMES[0]}.json").read_text())
    assert record["scale"] == pytest.approx(0.025, rel=0.02)


def request_of(sample: PosedSample, format: str) -> ExportRequest:
    settings = {"colmap": str(sample.colmap), **KEPT}
    return ExportRequest(format, ("refined", "confidence"), settings=settings)


def test_points_of_a_lidar_align_as_those_of_colmap_do(tmp_path: Path) -> None:
    sample = write_posed(tmp_path, DepthKind.METRIC_DEPTH)
    world_n3 = np.concatenate([points_behind(view) for view in sample.views])
    (tmp_path / "lidar.ply").write_bytes(ply_of(world_n3, None, ()))
    points = sample.colmap / "points3D.txt"
    points.write_text("")
    with pytest.raises(ConfigError, match="it sees 0 points"):
        export(sample, "colmap-depth", tmp_path / "none", **KEPT)
    export(sample, "colmap-depth", tmp_path / "out", lidar=str(tmp_path / "lidar.ply"), **KEPT)
    for name in NAMES:
        depth_hw = read_colmap_array(tmp_path / "out/stereo/depth_maps" / f"{name}.geometric.bin")
        np.testing.assert_allclose(depth_hw, sample.depth(name), rtol=0.01)


def test_poses_of_a_transforms_json_do_as_well(tmp_path: Path) -> None:
    """What was exported for nerfstudio has poses and points: it aligns again."""
    sample = write_posed(tmp_path, DepthKind.METRIC_DEPTH)
    request = ExportRequest("nerfstudio", ("refined",), None, True, {"colmap": str(sample.colmap)})
    export_labels(sample.labels, str(tmp_path / "first"), request)
    first = tmp_path / "first"
    again = {"colmap": None, "transforms": str(first), "lidar": str(first / "sparse_pc.ply")}
    export(sample, "colmap-depth", tmp_path / "out", **again, **KEPT)
    for name in NAMES:
        path = tmp_path / "out/stereo/depth_maps/images" / f"{name}.geometric.bin"
        np.testing.assert_allclose(read_colmap_array(path), sample.depth(name), rtol=0.02)


def points_behind(view: PosedView) -> Doubles:
    assert view.scene.camera is not None
    seen_n3 = view.scene.camera.unproject(view.scene.depth_hw)[::2, ::2].reshape(-1, 3)
    points: Doubles = (seen_n3 - view.translation_3) @ view.rotation_33
    return points
