"""Every data set from files made here: known values come back as exact depths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from redepth.datasets import datasets
from redepth.datasets.finding import find_ground_truth
from redepth.datasets.ground_truth import GroundTruth, GroundTruthKind, make_ground_truth
from redepth.errors import ConfigError
from redepth.scenes.collection import read_truth, write_collection
from redepth.scenes.scene import Split

HW = (4, 6)
DEPTH = np.arange(1, 25, dtype=np.float64).reshape(HW) / 4
DEPTH_WITH_HOLE = np.where(np.arange(24).reshape(HW) == 7, 0.0, DEPTH)


def save_png16(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(values).astype(np.uint16)).save(path)


def only_one(root: Path, dataset_format: str, image_hw: tuple[int, int] = HW) -> GroundTruth:
    (file,) = find_ground_truth(root, dataset_format)
    return file.read(image_hw)


def assert_hole(truth: GroundTruth, expected: np.ndarray) -> None:
    """The hole is NaN and not scored, the rest is as planted."""
    hole = expected == 0
    assert np.isnan(truth.map_hw[hole]).all()
    assert not truth.mask_hw[hole].any()
    np.testing.assert_allclose(truth.map_hw[~hole], expected[~hole], rtol=1e-4)


@pytest.mark.parametrize(
    ("dataset_format", "name", "units_per_m"),
    [
        ("tum", "desk/depth/7.png", 5000),
        ("scannet", "scene0000_00/depth/7.png", 1000),
        ("ibims", "depth/corridor_01.png", 65535 / 50),
    ],
)
def test_16_bit_pngs(tmp_path: Path, dataset_format: str, name: str, units_per_m: float) -> None:
    save_png16(tmp_path / name, DEPTH_WITH_HOLE * units_per_m)
    truth = only_one(tmp_path, dataset_format)
    np.testing.assert_allclose(truth.map_hw[0], DEPTH[0], atol=1 / units_per_m)
    assert np.isnan(truth.map_hw[1, 1])
    assert (truth.kind, truth.unit) == (GroundTruthKind.DEPTH, "m")
    assert truth.mask_hw.sum() == 23


def test_seven_scenes_says_unknown_as_65535(tmp_path: Path) -> None:
    codes = DEPTH_WITH_HOLE * 1000
    codes[2, 3] = 65535
    save_png16(tmp_path / "chess/seq-01/frame-000000.depth.png", codes)
    truth = only_one(tmp_path, "seven-scenes")
    assert np.argwhere(np.isnan(truth.map_hw)).tolist() == [[1, 1], [2, 3]]
    assert truth.map_hw[0, 0] == 0.25
    assert truth.limits.highest == 10.0
    assert not truth.has_edges


@pytest.mark.parametrize(("dataset_format", "top_row"), [("kitti", 40), ("kitti-eigen-crop", 33)])
def test_kitti_is_scored_within_crop_and_cap(
    tmp_path: Path, dataset_format: str, top_row: int
) -> None:
    depth = np.full((100, 200), 10.0)
    depth[50, 100:103] = 79.0, 80.0, 0.0
    save_png16(tmp_path / "drive/proj_depth/groundtruth/image_02/0000000005.png", depth * 256)
    truth = only_one(tmp_path, dataset_format, (100, 200))
    assert truth.map_hw[0, 0] == 10.0
    assert np.flatnonzero(truth.mask_hw.any(axis=1))[0] == top_row
    assert np.flatnonzero(truth.mask_hw.any(axis=0))[[0, -1]].tolist() == [7, 191]
    assert truth.mask_hw[50, 100:103].tolist() == [True, False, False]
    assert truth.limits.highest == 80.0


def test_nyu_is_scored_within_eigens_crop(tmp_path: Path) -> None:
    depth = np.full((480, 640), 2.5)
    depth[100, 100] = 10.0
    save_png16(tmp_path / "kitchen/sync_depth_00012.png", depth * 1000)
    truth = only_one(tmp_path, "nyu", (480, 640))
    assert truth.mask_hw.sum() == (471 - 45) * (601 - 41) - 1
    assert truth.map_hw[0, 0] == 2.5
    assert not truth.has_edges


def test_nyu_of_another_size_is_refused(tmp_path: Path) -> None:
    save_png16(tmp_path / "depth.png", DEPTH * 1000)
    with pytest.raises(ConfigError, match="640 x 480"):
        only_one(tmp_path, "nyu")


def test_a_raw_kinect_frame_has_swapped_bytes(tmp_path: Path) -> None:
    raw = np.full((480, 640), 800, dtype=np.uint16)
    raw[200, 300] = 2047
    header = b"P5\n640 480\n65535\n"
    (tmp_path / "NYU_depth.pgm").write_bytes(header + raw.astype("<u2").tobytes())
    truth = only_one(tmp_path, "nyu", (480, 640))
    assert truth.map_hw[240, 320] == pytest.approx(351.3 / (1092.5 - 800))
    assert np.isnan(truth.map_hw[200, 300])


def test_tum_pairs_frames_by_time(tmp_path: Path) -> None:
    for fingerprint, metres in (("10.000000", 1.0), ("10.030000", 2.0), ("10.500000", 3.0)):
        save_png16(tmp_path / f"desk/depth/{fingerprint}.png", np.full(HW, metres * 5000))
    (tmp_path / "desk/rgb").mkdir()
    for fingerprint in ("10.012000", "10.020000", "10.300000", "10.511000"):
        Image.new("RGB", HW[::-1]).save(tmp_path / f"desk/rgb/{fingerprint}.png")
    found = {file.name: file.read(HW).map_hw[0, 0] for file in find_ground_truth(tmp_path, "tum")}
    assert found == {
        "desk/rgb/10.012000": 1.0,
        "desk/rgb/10.020000": 2.0,
        "desk/rgb/10.511000": 3.0,
    }


def test_names_that_only_look_like_a_time_are_no_stamps(tmp_path: Path) -> None:
    save_png16(tmp_path / "desk/depth/1.\N{SUPERSCRIPT TWO}.png", DEPTH * 5000)
    (tmp_path / "desk/rgb").mkdir()
    Image.new("RGB", HW[::-1]).save(tmp_path / "desk/rgb/1.\N{SUPERSCRIPT TWO}.png")
    assert only_one(tmp_path, "tum").map_hw[0, 0] == DEPTH[0, 0]


@pytest.mark.parametrize("image_hw", [HW, (2 * HW[0], 2 * HW[1])])
def test_eth3d_has_the_photographs_size(tmp_path: Path, image_hw: tuple[int, int]) -> None:
    path = tmp_path / "courtyard/ground_truth_depth/dslr_images/DSC_1.JPG"
    path.parent.mkdir(parents=True)
    np.where(DEPTH_WITH_HOLE == 0, np.inf, DEPTH).astype("<f4").tofile(path)
    if image_hw != HW:
        with pytest.raises(ConfigError, match="96 bytes"):
            only_one(tmp_path, "eth3d", image_hw)
        return
    assert_hole(only_one(tmp_path, "eth3d"), DEPTH_WITH_HOLE)


def test_diode_has_a_mask(tmp_path: Path) -> None:
    stem = tmp_path / "indoors" / "00019_00183_indoors_000_010"
    stem.parent.mkdir()
    np.save(f"{stem}_depth.npy", DEPTH[..., None].astype(np.float32))
    np.save(f"{stem}_depth_mask.npy", (DEPTH_WITH_HOLE > 0).astype(np.float32))
    (file,) = find_ground_truth(tmp_path, "diode")
    assert file.name == "indoors/00019_00183_indoors_000_010"
    assert_hole(file.read(HW), DEPTH_WITH_HOLE)


def test_diode_without_its_mask_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a_depth.npy", DEPTH)
    with pytest.raises(ConfigError, match="a_depth_mask"):
        only_one(tmp_path, "diode")


def dpt(values: np.ndarray, tag: float = 202021.25) -> bytes:
    height, width = values.shape
    sides = np.array([width, height], dtype="<i4").tobytes()
    return np.float32(tag).tobytes() + sides + values.astype("<f4").tobytes()


def test_sintel(tmp_path: Path) -> None:
    (tmp_path / "frame_0001.dpt").write_bytes(dpt(DEPTH_WITH_HOLE))
    truth = only_one(tmp_path, "sintel")
    assert_hole(truth, DEPTH_WITH_HOLE)
    assert truth.limits.highest == 72.0


def dpt_of_sides(width: int, height: int, num_pixels: int) -> bytes:
    sides = np.array([width, height], dtype="<i4").tobytes()
    return np.float32(202021.25).tobytes() + sides + bytes(4 * num_pixels)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        dpt(DEPTH, tag=1.0),
        dpt(DEPTH)[:-4],
        dpt_of_sides(0, 0, 0),
        dpt_of_sides(6, 0, 0),
        dpt_of_sides(-6, -4, 24),
    ],
)
def test_what_is_no_dpt_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "frame_0001.dpt").write_bytes(content)
    with pytest.raises(ConfigError, match="frame_0001"):
        only_one(tmp_path, "sintel")


def test_cuts_and_other_bytes_in_a_dpts_header_are_refused(tmp_path: Path) -> None:
    whole, path = dpt(DEPTH), tmp_path / "frame_0001.dpt"
    damaged = [whole[:length] for length in range(0, len(whole), 3)]
    damaged += [
        bytes((*whole[:place], byte, *whole[place + 1 :]))
        for place in range(12)
        for byte in (0, 1, 2, 4, 6, 127, 128, 255)
        if byte != whole[place]
    ]
    path.write_bytes(whole)
    (file,) = find_ground_truth(tmp_path, "sintel")
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="frame_0001"):
            file.read(HW)


CALIBRATION = (
    "cam0=[100 0 3; 0 100 2; 0 0 1]\ncam1=[100 0 5; 0 100 2; 0 0 1]\ndoffs=2\nbaseline=50\n"
)


def test_middlebury_with_calibration_is_depth(tmp_path: Path) -> None:
    scene = tmp_path / "Motorcycle"
    scene.mkdir()
    disparity = np.where(DEPTH_WITH_HOLE == 0, np.inf, DEPTH).astype(np.float32)
    Image.fromarray(disparity).save(scene / "disp0.pfm")
    (scene / "calib.txt").write_text(CALIBRATION, encoding="utf-8")
    (file,) = find_ground_truth(tmp_path, "middlebury")
    assert file.name == "Motorcycle/im0"
    truth = file.read(HW)
    expected = np.where(DEPTH_WITH_HOLE == 0, 0, 0.050 * 100 / (DEPTH + 2))
    assert_hole(truth, expected)
    assert truth.unit == "m"
    assert truth.camera is not None
    np.testing.assert_allclose(truth.camera.unproject(expected)[2, 3], [0, 0, expected[2, 3]])


def test_middlebury_with_half_a_calibration_is_refused(tmp_path: Path) -> None:
    Image.fromarray(DEPTH.astype(np.float32)).save(tmp_path / "disp0.pfm")
    (tmp_path / "calib.txt").write_text("baseline=50\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="cam0"):
        only_one(tmp_path, "middlebury")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("baseline=0", "baseline 0"),
        ("baseline=-50", "baseline -50"),
        ("baseline=nan", "baseline nan"),
        ("doffs=inf", "doffs inf"),
        ("cam0=[0 0 3; 0 100 2; 0 0 1]", "above 0"),
        ("cam0=[1e999 0 3; 0 100 2; 0 0 1]", "expected finite numbers"),
    ],
)
def test_a_calibration_that_means_no_camera_is_refused(
    tmp_path: Path, entry: str, said: str
) -> None:
    Image.fromarray(DEPTH.astype(np.float32)).save(tmp_path / "disp0.pfm")
    (tmp_path / "calib.txt").write_text(f"{CALIBRATION}{entry}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        only_one(tmp_path, "middlebury")


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((0, 6)),
        np.zeros((0, 0)),
        np.zeros((4, 6, 2)),
        np.zeros(24),
        np.full(HW, "deep"),
        np.full(HW, 1 + 2j),
    ],
)
def test_arrays_that_are_no_map_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "a_depth.npy", values)
    np.save(tmp_path / "a_depth_mask.npy", np.ones(values.shape))
    with pytest.raises(ConfigError, match=r"a_depth\.npy"):
        only_one(tmp_path, "diode")


@pytest.mark.parametrize("data", [np.zeros((4, 6, 2)), np.zeros((0, 0)), "text"])
def test_a_mat_of_something_else_is_refused(tmp_path: Path, data: object) -> None:
    savemat(tmp_path / "a.mat", {"data": {"depth": data}})
    with pytest.raises(ConfigError, match=r"a\.mat"):
        only_one(tmp_path, "ibims")


def test_masks_of_another_size_are_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"data": {"depth": DEPTH, "mask_invalid": np.ones((2, 2))}})
    with pytest.raises(ConfigError, match=r"a\.mat holds no depth"):
        only_one(tmp_path, "ibims")


def test_scenes_without_their_depth_are_refused(tmp_path: Path) -> None:
    (row,) = write_collection(tmp_path, ("coins",), 1, 16, Split.TRAIN)
    for arrays in ({"mask": DEPTH}, {"depth": DEPTH, "camera": np.ones(3)}):
        np.savez(tmp_path / row.truth, allow_pickle=False, **arrays)
        with pytest.raises(ConfigError, match="holds no depth of a rendered scene"):
            only_one(tmp_path, "scenes")
        with pytest.raises(ConfigError, match="holds no truth of a rendered scene"):
            read_truth(tmp_path, row)


@pytest.mark.parametrize(
    ("name", "width", "scale"),
    [
        ("disp2", 450, 4),
        ("disp2", 900, 2),
        ("disp2", 434, 8),
        ("disp1", 1306, 1),
        ("disp1", 653, 2),
        ("disp1", 435, 3),
    ],
)
def test_two_encodings_of_a_disparity_are_one_map(
    tmp_path: Path, name: str, width: int, scale: int
) -> None:
    codes = np.tile(np.arange(width) % 200, (3, 1)).astype(np.uint8)
    Image.fromarray(codes).save(tmp_path / f"{name}.png")
    Image.fromarray(codes.astype(np.float32) / scale).save(tmp_path / "exact.tif")
    (tmp_path / "pairs.csv").write_text("uri,ground_truth\nim2.png,exact.tif\n", encoding="utf-8")
    encoded = only_one(tmp_path, "middlebury", (3, width))
    exact = only_one(tmp_path / "pairs.csv", "middlebury", (3, width))
    np.testing.assert_array_equal(encoded.map_hw, exact.map_hw)
    np.testing.assert_array_equal(encoded.mask_hw, exact.mask_hw)
    assert (encoded.kind, encoded.unit) == (GroundTruthKind.DISPARITY, "px")


def test_ibims_leaves_out_what_its_masks_leave_out(tmp_path: Path) -> None:
    save_png16(tmp_path / "depth/a.png", DEPTH * 65535 / 50)
    for number, name in enumerate(("mask_invalid", "mask_transp")):
        mask = np.full(HW, 255, dtype=np.uint8)
        mask[0, number] = 0
        (tmp_path / name).mkdir()
        Image.fromarray(mask).save(tmp_path / name / "a.png")
    assert only_one(tmp_path, "ibims").mask_hw[0].tolist() == [False, False, *[True] * 4]


def test_a_mask_that_would_be_stretched_is_refused(tmp_path: Path) -> None:
    save_png16(tmp_path / "depth/a.png", DEPTH * 65535 / 50)
    (tmp_path / "mask_transp").mkdir()
    Image.new("L", (HW[1], 1), 255).save(tmp_path / "mask_transp/a.png")
    with pytest.raises(ConfigError, match=r"mask_transp/a\.png is \(1, 6\), its depth \(4, 6\)"):
        only_one(tmp_path, "ibims")
    with pytest.raises(ValueError, match="the mask is"):
        make_ground_truth(DEPTH, np.ones((1, 6), dtype=bool))


def test_depth_beyond_float32_is_not_scored(tmp_path: Path) -> None:
    np.save(tmp_path / "a_depth.npy", np.where(DEPTH == 1.0, 1e300, DEPTH))
    np.save(tmp_path / "a_depth_mask.npy", np.ones(HW))
    assert only_one(tmp_path, "diode").mask_hw.sum() == 23


def test_ibims_as_mat_is_ibims_as_png(tmp_path: Path) -> None:
    mask = (DEPTH_WITH_HOLE > 0).astype(np.uint8)
    savemat(tmp_path / "a.mat", {"data": {"depth": DEPTH, "mask_invalid": mask}})
    assert_hole(only_one(tmp_path, "ibims"), DEPTH_WITH_HOLE)
    savemat(tmp_path / "a.mat", {"something": DEPTH})
    with pytest.raises(ConfigError, match="variable 'data'"):
        only_one(tmp_path, "ibims")


def test_rendered_scenes_are_exact_and_know_their_camera(tmp_path: Path) -> None:
    rows = write_collection(tmp_path, ("coins", "solids"), 1, 16, Split.HELD_OUT)
    files = find_ground_truth(tmp_path, "scenes")
    assert [file.name for file in files] == [row.uri.removesuffix(".png") for row in rows]
    coins, solids = (file.read((16, 16)) for file in files)
    assert (coins.unit, coins.camera) == ("half heights", None)
    assert solids.unit == "m"
    assert solids.camera is not None
    with np.load(tmp_path / rows[1].truth) as stored:
        np.testing.assert_array_equal(solids.map_hw, stored["depth"])


def test_ground_truth_of_another_frame_is_refused(tmp_path: Path) -> None:
    save_png16(tmp_path / "depth/7.png", DEPTH * 1000)
    with pytest.raises(ConfigError, match="6 x 4"):
        only_one(tmp_path, "scannet", (6, 4))


def test_an_8_bit_depth_is_refused(tmp_path: Path) -> None:
    Image.new("L", HW[::-1]).save(tmp_path / "depth.png")
    with pytest.raises(ConfigError, match="16-bit"):
        only_one(tmp_path, "kitti")


@pytest.mark.parametrize("dataset_format", datasets.own)
def test_an_empty_and_a_missing_folder_say_what_was_expected(
    tmp_path: Path, dataset_format: str
) -> None:
    for root in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigError, match=r"expected|takes a folder|list\.csv"):
            find_ground_truth(root, dataset_format)


def test_an_unknown_format_is_answered_with_the_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="middlebury"):
        find_ground_truth(tmp_path, "middleburry")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: None, "no list"),
        (lambda path: path.write_text("image,ground_truth\na,b\n"), "has no column `uri`"),
        (lambda path: path.write_text("uri,ground_truth\na.png,b.png\n"), "not there"),
    ],
)
def test_a_wrong_list_is_refused(
    tmp_path: Path, write: Callable[[Path], object], words: str
) -> None:
    write(tmp_path / "pairs.csv")
    with pytest.raises(ConfigError, match=words):
        find_ground_truth(tmp_path / "pairs.csv", "kitti")
