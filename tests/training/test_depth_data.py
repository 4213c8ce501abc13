"""Hypersim and Virtual KITTI 2, in small folders of their real layouts: units, holes, refusals."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from redepth.errors import ConfigError
from redepth.training.data import Layout, open_depth_data
from redepth.training.data.hypersim import FOCAL_LENGTH_PX, z_of_ray_length

HYPERSIM = "ai_001_001/images"
PREVIEW = f"{HYPERSIM}/scene_cam_00_final_preview/frame.0007.tonemap.jpg"
LENGTHS = f"{HYPERSIM}/scene_cam_00_geometry_hdf5/frame.0007.depth_meters.hdf5"
KITTI = "Scene01/15-deg-left/frames"
RGB, DEPTH = f"{KITTI}/rgb/Camera_0/rgb_00003.jpg", f"{KITTI}/depth/Camera_0/depth_00003.png"


def write_picture(path: Path, height: int, width: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (10, 200, 30)).save(path)


def write_hypersim(folder: Path, length_hw: np.ndarray, name: str = "dataset") -> Path:
    write_picture(folder / PREVIEW, *length_hw.shape)
    (folder / LENGTHS).parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / LENGTHS, "w") as file:
        file[name] = length_hw.astype(np.float16)
    return folder


def write_kitti(folder: Path, depth_cm_hw: np.ndarray) -> Path:
    write_picture(folder / RGB, *depth_cm_hw.shape)
    (folder / DEPTH).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(depth_cm_hw).save(folder / DEPTH)
    return folder


def test_a_wall_seen_straight_on_is_flat_in_z() -> None:
    """Rays to a wall 3 m away: longer towards the corners, z is 3 m in every pixel."""
    height, width = 768, 1024
    v, u = np.mgrid[:height, :width].astype(np.float64)
    off = np.hypot(u - (width - 1) / 2, v - (height - 1) / 2)
    lengths = 3.0 * np.sqrt(1 + (off / FOCAL_LENGTH_PX) ** 2)
    np.testing.assert_allclose(z_of_ray_length(lengths.astype(np.float32)), 3.0, rtol=1e-5)
    assert lengths[0, 0] > 1.2 * 3.0


def test_hypersim_is_read_in_metres_and_its_holes_are_not_valid(tmp_path: Path) -> None:
    lengths = np.full((48, 64), 2.0)
    lengths[5, 6] = np.nan
    data = open_depth_data(write_hypersim(tmp_path, lengths), Layout.HYPERSIM)
    assert list(data.images) == [PREVIEW]
    found = data.read(0)
    assert found.rgb_hw3.shape == (48, 64, 3)
    assert not found.valid_hw[5, 6]
    assert found.valid_hw.sum() == 48 * 64 - 1
    assert found.depth_hw[24, 32] == pytest.approx(2.0, rel=1e-3)
    assert found.depth_hw[0, 0] == pytest.approx(2.0 / np.sqrt(1 + (39.1 / 55.43) ** 2), rel=1e-2)


def test_virtual_kitti_is_read_in_metres_without_the_sky(tmp_path: Path) -> None:
    depth_cm = np.full((4, 6), 1234, np.uint16)
    depth_cm[0] = 65535
    depth_cm[1, 0] = 8001
    found = open_depth_data(write_kitti(tmp_path, depth_cm), Layout.VIRTUAL_KITTI_2).read(0)
    assert found.depth_hw[2, 2] == np.float32(12.34)
    assert found.valid_hw.tolist() == [[False] * 6, [False] + [True] * 5, [True] * 6, [True] * 6]


@pytest.mark.parametrize("layout", list(Layout))
def test_another_layout_is_refused_and_what_is_there_is_named(
    tmp_path: Path, layout: Layout
) -> None:
    (tmp_path / "holiday").mkdir()
    with pytest.raises(ConfigError, match=r"holds (holiday|no list\.csv)"):
        open_depth_data(tmp_path, layout)


def test_missing_depth_is_named_before_anything_is_read(tmp_path: Path) -> None:
    folder = write_kitti(tmp_path, np.full((4, 6), 100, np.uint16))
    write_picture(folder / RGB.replace("00003", "00004"), 4, 6)
    with pytest.raises(
        ConfigError, match=r"lacks the depth of 1 of 2 pictures: .*depth_00004\.png"
    ):
        open_depth_data(folder, Layout.VIRTUAL_KITTI_2)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    eight_bits = write_kitti(tmp_path / "kitti", np.full((4, 6), 100, np.uint8))
    with pytest.raises(ConfigError, match="has 8 bits"):
        open_depth_data(eight_bits, Layout.VIRTUAL_KITTI_2).read(0)
    other_name = write_hypersim(tmp_path / "hypersim", np.ones((4, 6)), "depth")
    with pytest.raises(ConfigError, match="holds no HDF5 data set 'dataset'"):
        open_depth_data(other_name, Layout.HYPERSIM).read(0)


def test_depth_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = write_kitti(tmp_path, np.full((4, 6), 100, np.uint16))
    write_picture(folder / RGB, 8, 12)
    with pytest.raises(ConfigError, match=r"is \(4, 6\), expected \(8, 12\)"):
        open_depth_data(folder, Layout.VIRTUAL_KITTI_2).read(0)
