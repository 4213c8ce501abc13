"""Photographs with depth, read from small folders as the data sets are published."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from redepth.datasets import dataset_named, datasets
from redepth.datasets.finding import find_ground_truth
from redepth.datasets.hypersim import FOCAL_LENGTH_PX, camera_of
from redepth.datasets.pairing import pair
from redepth.datasets.sample import Samples
from redepth.errors import ConfigError
from redepth.geometry.camera import Pinhole
from redepth.scenes.collection import write_collection
from redepth.scenes.scene import Split

HYPERSIM = "ai_001_001/images"
PREVIEW = f"{HYPERSIM}/scene_cam_00_final_preview/frame.0007.tonemap.jpg"
LENGTHS = f"{HYPERSIM}/scene_cam_00_geometry_hdf5/frame.0007.depth_meters.hdf5"
KITTI = "Scene01/15-deg-left/frames"
RGB, DEPTH = f"{KITTI}/rgb/Camera_0/rgb_00003.jpg", f"{KITTI}/depth/Camera_0/depth_00003.png"


def opened(folder: Path, name: str) -> Samples:
    return dataset_named(name).open(folder)


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
    np.testing.assert_allclose(
        camera_of((height, width)).depth_of_ray_length(lengths), 3.0, rtol=1e-5
    )
    assert lengths[0, 0] > 1.2 * 3.0


def test_hypersim_is_read_in_metres_and_its_holes_are_not_valid(tmp_path: Path) -> None:
    lengths = np.full((48, 64), 2.0)
    lengths[5, 6] = np.nan
    data = opened(write_hypersim(tmp_path, lengths), "hypersim")
    assert list(data.images) == [PREVIEW]
    found = data.read(0)
    assert found.rgb_hw3.shape == (48, 64, 3)
    assert not found.truth.mask_hw[5, 6]
    assert found.truth.mask_hw.sum() == 48 * 64 - 1
    assert found.truth.map_hw[24, 32] == pytest.approx(2.0, rel=1e-3)
    assert found.truth.map_hw[0, 0] == pytest.approx(
        2.0 / np.sqrt(1 + (39.1 / 55.43) ** 2), rel=1e-2
    )


def test_virtual_kitti_is_read_in_metres_without_the_sky(tmp_path: Path) -> None:
    depth_cm = np.full((4, 6), 1234, np.uint16)
    depth_cm[0] = 65535
    depth_cm[1, 0] = 8001
    found = opened(write_kitti(tmp_path, depth_cm), "virtual-kitti-2").read(0)
    assert found.truth.map_hw[2, 2] == np.float32(12.34)
    assert found.truth.mask_hw.tolist() == [
        [False] * 6,
        [False] + [True] * 5,
        [True] * 6,
        [True] * 6,
    ]


@pytest.mark.parametrize("name", datasets.own)
def test_another_folder_is_refused_and_what_is_there_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "holiday").mkdir()
    with pytest.raises(ConfigError, match=r"holds (holiday|no list\.csv)"):
        opened(tmp_path, name)


def test_missing_depth_is_named_before_anything_is_read(tmp_path: Path) -> None:
    folder = write_kitti(tmp_path, np.full((4, 6), 100, np.uint16))
    write_picture(folder / RGB.replace("00003", "00004"), 4, 6)
    with pytest.raises(ConfigError, match=r"lacks the depth of 1 of 2 pictures: .*rgb_00004\.jpg"):
        opened(folder, "virtual-kitti-2")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    eight_bits = write_kitti(tmp_path / "kitti", np.full((4, 6), 100, np.uint8))
    with pytest.raises(ConfigError, match="expected a 16-bit grey PNG"):
        opened(eight_bits, "virtual-kitti-2").read(0)
    other_name = write_hypersim(tmp_path / "hypersim", np.ones((4, 6)), "depth")
    with pytest.raises(ConfigError, match="holds no HDF5 data set 'dataset'"):
        opened(other_name, "hypersim").read(0)


def test_depth_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = write_kitti(tmp_path, np.full((4, 6), 100, np.uint16))
    write_picture(folder / RGB, 8, 12)
    with pytest.raises(ConfigError, match=r"is \(4, 6\), expected \(8, 12\)"):
        opened(folder, "virtual-kitti-2").read(0)


def save_png16(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(values).astype(np.uint16)).save(path)


def write_eth3d(root: Path) -> None:
    path = root / "courtyard/ground_truth_depth/dslr_images/DSC_1.JPG"
    path.parent.mkdir(parents=True)
    np.full((4, 6), 2.5, "<f4").tofile(path)
    write_picture(root / "courtyard/images/dslr_images/DSC_1.JPG", 4, 6)


def write_diode(root: Path) -> None:
    write_picture(root / "indoors/00019_000_010.png", 4, 6)
    np.save(root / "indoors/00019_000_010_depth.npy", np.full((4, 6), 2.5))
    np.save(root / "indoors/00019_000_010_depth_mask.npy", np.ones((4, 6)))


def write_sintel(root: Path) -> None:
    for look in ("clean", "final"):
        write_picture(root / look / "alley_1/frame_0001.png", 4, 6)
    (root / "depth/alley_1").mkdir(parents=True)
    head = np.float32(202021.25).tobytes() + np.array([6, 4], "<i4").tobytes()
    pixels = np.full((4, 6), 2.5, "<f4").tobytes()
    (root / "depth/alley_1/frame_0001.dpt").write_bytes(head + pixels)


def write_middlebury(root: Path) -> None:
    write_picture(root / "Motorcycle/im0.png", 4, 6)
    Image.fromarray(np.full((4, 6), 2.0, np.float32)).save(root / "Motorcycle/disp0.pfm")
    calibration = "cam0=[100 0 3; 0 100 2; 0 0 1]\ndoffs=0\nbaseline=50\n"
    (root / "Motorcycle/calib.txt").write_text(calibration, encoding="utf-8")


def write_kinect(root: Path, colour: str, depth: str, units_per_m: float) -> None:
    write_picture(root / colour, 480, 640)
    save_png16(root / depth, np.full((480, 640), 2.5 * units_per_m))


def write_drives(root: Path) -> None:
    """Write two drives whose frames have one name, at other depths."""
    for drive, metres in (("0002_sync", 2.5), ("0009_sync", 7.0)):
        write_picture(root / f"2011_09_26/{drive}/image_02/data/0000000005.png", 40, 60)
        depth = root / drive / "proj_depth/groundtruth/image_02/0000000005.png"
        save_png16(depth, np.full((40, 60), metres * 256))


PUBLISHED: dict[str, Callable[[Path], None]] = {
    "kitti": write_drives,
    "nyu": lambda root: write_kinect(root, "a/rgb_00012.jpg", "a/sync_depth_00012.png", 1000),
    "tum": lambda root: write_kinect(root, "desk/rgb/10.01.png", "desk/depth/10.00.png", 5000),
    "nyu, as its toolbox names them": lambda root: write_kinect(
        root, "nyu2_test/00001_colors.png", "nyu2_test/00001_depth.png", 1000
    ),
    "seven-scenes": lambda root: write_kinect(
        root, "chess/seq-01/frame-000000.color.png", "chess/seq-01/frame-000000.depth.png", 1000
    ),
    "scannet": lambda root: write_kinect(root, "s/color/7.jpg", "s/depth/7.png", 1000),
    "ibims": lambda root: write_kinect(root, "rgb/a.png", "depth/a.png", 65535 / 50),
    "eth3d": write_eth3d,
    "diode": write_diode,
    "sintel": write_sintel,
    "middlebury": write_middlebury,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_labels_are_judged_by_can_be_trained_on(tmp_path: Path, name: str) -> None:
    PUBLISHED[name](tmp_path)
    first, *_ = dataset_named(name.partition(",")[0]).samples(tmp_path)
    assert first.rgb_hw3.shape == (*first.truth.size_hw, 3)
    assert first.truth.known_hw.all(), "a crop is for scores, not for training"
    np.testing.assert_allclose(first.truth.depth_hw(), 2.5, rtol=1e-3)


def test_frames_of_one_name_keep_their_own_depth(tmp_path: Path) -> None:
    write_drives(tmp_path)
    samples = dataset_named("kitti").samples(tmp_path)
    found = {sample.id.split("/")[1]: sample.truth.map_hw[0, 0] for sample in samples}
    assert found == {"0002_sync": 2.5, "0009_sync": 7.0}


def test_photographs_without_measured_depth_are_left_out(tmp_path: Path) -> None:
    write_kinect(tmp_path, "s/color/7.jpg", "s/depth/7.png", 1000)
    write_picture(tmp_path / "s/color/8.jpg", 480, 640)
    assert opened(tmp_path, "scannet").images == ["s/color/7.jpg"]


def test_depth_of_another_scene_is_not_trained_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_kinect(tmp_path, "scene0000/color/7.jpg", "scene0777/depth/7.png", 1000)
    with pytest.raises(ConfigError, match=r"1 photographs .*\n.*scene0000.*scene0777/depth/7\.png"):
        opened(tmp_path, "scannet")
    write_kinect(tmp_path, "scene0001/color/8.jpg", "scene0001/depth/8.png", 1000)
    with caplog.at_level(logging.WARNING):
        assert opened(tmp_path, "scannet").images == ["scene0001/color/8.jpg"]
    assert "scene0777/depth/7.png has its name" in caplog.text
    assert "they are left out" in caplog.text


def test_depth_without_a_photograph_cannot_be_trained_on(tmp_path: Path) -> None:
    save_png16(tmp_path / "s/depth/7.png", np.full((4, 6), 1000))
    with pytest.raises(ConfigError, match=r"no photograph of it: expected \*\*/color"):
        opened(tmp_path, "scannet")


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    folder = write_kitti(tmp_path, np.full((4, 6), 100, np.uint16))
    (folder / RGB).unlink()
    with pytest.raises(ConfigError, match=r"lacks 1 files of its samples: .*rgb_00003"):
        opened(folder, "virtual-kitti-2")


def test_missing_depth_of_a_scene_is_named_before_anything_is_read(tmp_path: Path) -> None:
    rows = write_collection(tmp_path, ("coins",), 2, 16, Split.TRAIN)
    (tmp_path / rows[1].truth).unlink()
    with pytest.raises(ConfigError, match=rf"lacks 1 files of its samples: .*{rows[1].truth}"):
        opened(tmp_path, "scenes")


def test_what_is_trained_on_can_judge_labels(tmp_path: Path) -> None:
    """Frames of one name in two scenes are told apart by the path that the data set states."""
    frame = "15-deg-left/frames/rgb/Camera_0/rgb_00003.jpg"
    scenes = "Scene01", "Scene02"
    for scene in scenes:
        write_picture(tmp_path / scene / frame, 4, 6)
        depth = tmp_path / scene / "15-deg-left/frames/depth/Camera_0/depth_00003.png"
        save_png16(depth, np.full((4, 6), 250))
    files = find_ground_truth(tmp_path, "virtual-kitti-2")
    pairs = pair({scene: f"s3://other/place/{scene}/{frame}" for scene in scenes}, files).pairs
    found = {image_id: file.path.relative_to(tmp_path).parts[0] for image_id, file in pairs.items()}
    assert found == {scene: scene for scene in scenes}
    truth = pairs["Scene01"].read((4, 6))
    assert truth.map_hw[0, 0] == 2.5
    assert truth.limits.highest == 80.0


def test_hypersim_knows_its_camera(tmp_path: Path) -> None:
    (file,) = find_ground_truth(write_hypersim(tmp_path, np.full((48, 64), 2.0)), "hypersim")
    camera = file.read((48, 64)).camera
    assert isinstance(camera, Pinhole)
    assert camera.focal_x_px == pytest.approx(FOCAL_LENGTH_PX / 16)


def test_a_disparity_without_calibration_has_no_depth(tmp_path: Path) -> None:
    write_middlebury(tmp_path)
    (tmp_path / "Motorcycle/calib.txt").unlink()
    (sample,) = dataset_named("middlebury").samples(tmp_path)
    assert (sample.truth.disparity_hw() == 2.0).all()
    with pytest.raises(ConfigError, match="disparity without calibration"):
        sample.truth.depth_hw()
