"""LiDAR points of a PLY file, poses of a transforms.json, and which points a picture then sees."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from redepth.errors import ConfigError
from redepth.reconstruction.colmap import read_colmap
from redepth.reconstruction.model import Reconstruction
from redepth.reconstruction.ply import PlyPoints, points_of, read_ply
from redepth.reconstruction.transforms import read_transforms
from tests.reconstruction.colmap_samples import turned, two_views

POINTS = np.array([[0.0, 0.0, 4.0], [1.0, 0.5, 5.0], [0.25, -0.5, 2.0]])
HEAD = "ply\nformat {}\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\n"


def test_what_trimesh_writes_is_read(tmp_path: Path) -> None:
    colours_n3 = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=np.uint8)
    for encoding in ("binary", "ascii"):
        cloud = trimesh.PointCloud(POINTS, colors=colours_n3)
        (tmp_path / "a.ply").write_bytes(cloud.export(file_type="ply", encoding=encoding))
        read = read_ply(tmp_path / "a.ply")
        np.testing.assert_allclose(read.xyz_n3, POINTS)
        assert read.rgb_n3 is not None
        np.testing.assert_array_equal(read.rgb_n3, colours_n3)


def test_big_endian_doubles_and_what_follows_the_vertices() -> None:
    head = (
        "ply\nformat binary_big_endian 1.0\ncomment by hand\nelement vertex 3\nproperty double x\n"
        "property double y\nproperty double z\nproperty uchar intensity\nelement face 1\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    rows = np.zeros(3, dtype=[("xyz", ">f8", (3,)), ("intensity", "u1")])
    rows["xyz"] = POINTS
    read = points_of(head.encode() + rows.tobytes() + b"\x03\0\0\0\0\0\0\0\0\0\0\0\0")
    np.testing.assert_array_equal(read.xyz_n3, POINTS)
    assert read.rgb_n3 is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no ply", "does not begin"),
        (b"ply\n" + b"comment x\n" * 10_000 + b"end_header\n", "does not begin"),
        (HEAD.format("binary_little_endian 1.0", 10**15).encode() + b"end_header\n", "promises"),
        (HEAD.format("ascii 1.0", 10**15).encode() + b"end_header\n1 2 3\n", "promises"),
        (HEAD.format("binary_little_endian 1.0", -1).encode() + b"end_header\n", "promises -1"),
        (HEAD.format("pickled 1.0", 1).encode() + b"end_header\n", "its format is 'pickled'"),
        (
            HEAD.format("ascii 1.0", 1).encode().replace(b" z", b" w") + b"end_header\n1 2 3\n",
            "no x",
        ),
        (b"ply\nformat ascii 1.0\nelement face 1\nend_header\n", "no vertex"),
        (HEAD.format("ascii 1.0", 1).encode() + b"property list uchar int i\nend_header\n", "list"),
        (HEAD.format("ascii 1.0", 1).encode() + b"end_header\n1 two 3\n", "damaged"),
    ],
)
def test_a_hostile_or_damaged_file_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"a\.ply.*{words}"):
        read_ply(tmp_path / "a.ply")


def frame(name: str, pose_44: np.ndarray) -> dict[str, object]:
    return {"file_path": name, "transform_matrix": (pose_44 @ np.diag([1, -1, -1, 1.0])).tolist()}


def test_poses_of_nerfstudio_are_those_of_colmap(tmp_path: Path) -> None:
    two_views().write_text(tmp_path / "colmap")
    model = read_colmap(tmp_path / "colmap")
    said = {
        "fl_x": 500, "fl_y": 510, "cx": 320, "cy": 240, "w": 640, "h": 480,
        "frames": [
            frame(f"./images/{i}.jpg", image.camera_to_world_44)
            for i, image in enumerate(model.images)
        ],
    }  # fmt: skip
    (tmp_path / "transforms.json").write_text(json.dumps(said))
    read = read_transforms(tmp_path, PlyPoints(model.points_n3, None))
    assert [image.name for image in read.images] == ["images/0.jpg", "images/1.jpg"]
    for image, expected in zip(read.images, model.images, strict=True):
        np.testing.assert_allclose(image.rotation_33, expected.rotation_33, atol=1e-12)
        np.testing.assert_allclose(image.translation_3, expected.translation_3, atol=1e-12)
    assert sorted(read.seen(read.images[0]).depth_n) == [3.0, 4.0, 5.0, 6.0]


def test_points_of_a_lidar_are_seen_where_nothing_hides_them(tmp_path: Path) -> None:
    two_views().write_text(tmp_path)
    rng = np.random.default_rng(0)
    wall = np.column_stack([rng.uniform(-2, 2, (4000, 2)), np.full(4000, 5.0)])
    behind = wall * [1, 1, 2]
    model = read_colmap(tmp_path).with_points(np.concatenate([behind, wall]), None)
    seen = model.seen(model.images[0])
    in_view = np.abs(wall[:, :2] / 5) < np.array([320 / 500, 240 / 510])
    assert len(seen) >= in_view.all(axis=1).sum()
    assert (seen.depth_n < 5.5).mean() > 0.98, "what lies behind the wall is not seen"
    assert read_colmap(tmp_path).digest != model.digest


def test_a_camera_with_distortion_projects_nothing(tmp_path: Path) -> None:
    two_views().write_text(tmp_path)
    model = read_colmap(tmp_path).with_points(POINTS, None)
    with pytest.raises(ConfigError, match=r"SIMPLE_RADIAL.*image_undistorter"):
        model.seen(model.images[1])


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"frames": [{"file_path": "a.jpg"}]}', "[" * 99_999, '{"frames": [7]}']
)
def test_a_file_without_poses_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "transforms.json").write_text(text)
    with pytest.raises(ConfigError, match=r"transforms\.json"):
        read_transforms(tmp_path, PlyPoints(POINTS, None))


def test_points_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ConfigError, match="not finite"):
        Reconstruction((), np.array([[0.0, np.nan, 1.0]]), None, "")


def test_the_world_of_a_turned_camera() -> None:
    assert np.allclose(turned(90) @ [0, 0, 1], [1, 0, 0])
