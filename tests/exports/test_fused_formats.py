"""Views fused into one cloud and into one surface: both lie on the true surfaces of the scene."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from redepth.errors import ConfigError
from redepth.exports.request import ExportRequest
from redepth.exports.writing import export_labels
from redepth.geometry.camera import Pinhole
from redepth.reconstruction.fusing import Fusion, voxel_of
from redepth.reconstruction.model import PosedImage
from redepth.reconstruction.ply import PlyPoints, read_ply
from redepth.types import DepthKind
from tests.exports.posed_samples import SIZE_PX, PosedSample, write_posed
from tests.reconstruction.colmap_samples import Doubles

HAS_OPEN3D = importlib.util.find_spec("open3d") is not None


def fused(sample: PosedSample, out: Path, *, images: bool = True, **settings: object) -> PlyPoints:
    export(sample, "fused-cloud", out, images=images, **settings)
    return read_ply(out / "fused.ply")


def export(
    sample: PosedSample, format: str, out: Path, *, images: bool = True, **settings: object
) -> None:
    values = {"colmap": str(sample.colmap), **settings}
    request = ExportRequest(format, ("refined", "confidence"), None, images, values)
    export_labels(sample.labels, str(out), request)


def errors(sample: PosedSample, world_n3: Doubles) -> Doubles:
    """Return of each point how far it is from the nearest surface along a view's rays, metres."""
    least_n = np.full(len(world_n3), np.inf)
    for view in sample.views:
        assert view.scene.camera is not None
        seen_n3 = world_n3 @ view.rotation_33.T + view.translation_3
        columns, rows = np.rint(view.scene.camera.project(seen_n3)).astype(int)
        inside = (columns >= 0) & (columns < SIZE_PX) & (rows >= 0) & (rows < SIZE_PX)
        depth_n = view.scene.depth_hw[rows[inside], columns[inside]]
        least_n[inside] = np.minimum(least_n[inside], np.abs(depth_n - seen_n3[inside, 2]))
    return least_n


@pytest.mark.parametrize("kind", DepthKind)
def test_a_fused_cloud_lies_on_the_true_surfaces(kind: DepthKind, tmp_path: Path) -> None:
    sample = write_posed(tmp_path, kind)
    cloud = fused(sample, tmp_path / "out", voxel=0.04)
    errors_m = errors(sample, cloud.xyz_n3)
    assert 3000 < len(cloud.xyz_n3) < 5 * SIZE_PX**2
    assert np.median(errors_m) < 0.02 and np.quantile(errors_m, 0.95) < 0.08
    assert cloud.rgb_n3 is not None and len(np.unique(cloud.rgb_n3, axis=0)) > 100


def test_masks_keep_what_hangs_between_surfaces_out_of_the_cloud(tmp_path: Path) -> None:
    sample = write_posed(tmp_path, smoothed=True)
    masked = errors(sample, fused(sample, tmp_path / "masked", voxel=0.04).xyz_n3)
    kept = errors(sample, fused(sample, tmp_path / "kept", voxel=0.04, keep_edges=True).xyz_n3)
    assert (masked > 0.15).sum() < 0.8 * (kept > 0.15).sum()


def test_what_few_pictures_see_is_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    sample = write_posed(tmp_path)
    all_points = fused(sample, tmp_path / "one", voxel=0.1).xyz_n3
    some = fused(sample, tmp_path / "three", voxel=0.1, min_views=3).xyz_n3
    assert 0.2 * len(all_points) < len(some) < 0.8 * len(all_points)


def test_without_photographs_a_cloud_is_grey_and_voxels_suit_the_scene(tmp_path: Path) -> None:
    sample = write_posed(tmp_path)
    cloud = fused(sample, tmp_path / "out", images=False)
    assert cloud.rgb_n3 is not None and (cloud.rgb_n3 == 128).all()
    assert 1000 < len(cloud.xyz_n3) < 3 * SIZE_PX**2
    head = (tmp_path / "out" / "fused.ply").read_bytes()[:400]
    camera = sample.views[0].scene.camera
    assert camera is not None
    side = float(head.partition(b"comment voxel ")[2].partition(b"\n")[0])
    assert side == pytest.approx(voxel_of(3.0, camera), rel=0.4)


def test_a_voxel_has_the_mean_of_its_points_and_counts_its_views() -> None:
    from redepth.reconstruction.cameras import BY_NAME, ColmapCamera

    camera = ColmapCamera(BY_NAME["PINHOLE"], 2, 1, (1.0, 1.0, 1.0, 0.5))
    image = PosedImage("a.png", camera, np.eye(3), np.array([0.0, 0.0, 0.0]))
    pinhole = Pinhole(1.0, 1.0, 0.0, 0.0)
    fusion = Fusion(10.0)
    for depth, colour in ((2.0, 10), (4.0, 30)):
        depth_hw = np.array([[depth, np.nan]], dtype=np.float32)
        fusion.add(image, depth_hw, np.full((1, 2, 3), colour, dtype=np.uint8), pinhole)
    cloud = fusion.cloud()
    np.testing.assert_array_equal(cloud.xyz_n3, [[0, 0, 3]])
    assert cloud.rgb_n3.tolist() == [[20, 20, 20]] and cloud.num_views_n.tolist() == [2]
    assert len(cloud.seen_by(3).xyz_n3) == 0
    with pytest.raises(ValueError, match="above 0"):
        Fusion(0.0)


def test_voxels_on_both_sides_of_the_origin_are_two() -> None:
    from redepth.reconstruction.cameras import BY_NAME, ColmapCamera

    camera = ColmapCamera(BY_NAME["PINHOLE"], 2, 1, (1.0, 1.0, 1.0, 0.5))
    image = PosedImage("a.png", camera, np.eye(3), np.zeros(3))
    fusion = Fusion(1.0)
    depth_hw = np.full((1, 2), 0.4, dtype=np.float32)
    fusion.add(image, depth_hw, np.zeros((1, 2, 3), dtype=np.uint8), Pinhole(1.0, 1.0, 0.5, 0.0))
    assert len(fusion.cloud().xyz_n3) == 2


def test_a_surface_takes_open3d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = write_posed(tmp_path)
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(ConfigError, match=r"cannot be imported .*pip install open3d"):
        export(sample, "tsdf-mesh", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not HAS_OPEN3D, reason="takes Open3D")
def test_a_fused_surface_lies_on_the_true_surfaces(tmp_path: Path) -> None:
    sample = write_posed(tmp_path)
    export(sample, "tsdf-mesh", tmp_path / "out", voxel=0.04)
    (surface,) = trimesh.load(tmp_path / "out" / "mesh.glb").geometry.values()
    errors_m = errors(sample, surface.vertices * [1, -1, -1])
    assert len(surface.faces) > 2000
    assert np.median(errors_m) < 0.02 and np.quantile(errors_m, 0.75) < 0.06
