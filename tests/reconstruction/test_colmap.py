"""COLMAP models come in as they were written; hostile ones are refused before memory is taken."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from redepth.errors import ConfigError
from redepth.reconstruction.colmap import read_colmap
from redepth.reconstruction.model import Reconstruction
from tests.reconstruction.colmap_samples import (
    SampleCamera,
    SampleImage,
    SampleModel,
    turned,
    two_views,
)

Write = Callable[[SampleModel, Path], None]
BOTH = pytest.mark.parametrize("write", [SampleModel.write_text, SampleModel.write_binary])


@BOTH
@pytest.mark.parametrize("place", [".", "sparse/0", "sparse"])
def test_a_model_comes_in_as_it_was_written(write: Write, place: str, tmp_path: Path) -> None:
    write(two_views(), tmp_path / place)
    model = read_colmap(tmp_path)
    one, two = model.images
    assert (one.name, one.stem, two.name) == ("a/one.jpg", "a/one", "two words.jpg")
    assert (one.camera.focal_x_px, one.camera.focal_y_px) == (500.0, 510.0)
    assert one.camera.centre_px == two.camera.centre_px == (320.0, 240.0)
    assert two.camera.distortion == {"k1": 0.01} and not two.camera.is_undistorted
    np.testing.assert_allclose(two.rotation_33, turned(10), atol=1e-12)
    assert model.points_n3.shape == (5, 3)
    assert model.colours_n3 is not None and model.colours_n3[0].tolist() == [10, 20, 30]


def read(model: SampleModel, folder: Path) -> Reconstruction:
    model.write_text(folder)
    return read_colmap(folder)


@BOTH
def test_a_picture_sees_its_points_at_their_depth(write: Write, tmp_path: Path) -> None:
    write(two_views(), tmp_path)
    model = read_colmap(tmp_path)
    seen = model.seen(model.images[0])
    assert seen.depth_n.tolist() == [4.0, 5.0, 6.0, 3.0]
    rows, columns = seen.pixels((48, 64))
    assert (rows[0], columns[0]) == (24, 32), "the middle"
    assert (columns[1], rows[1]) == (int((500 / 5 + 320) / 10), int((510 * 0.1 + 240) / 10))
    turned_z = (turned(10) @ np.array([0.0, 0.0, 4.0]))[2] + 0.3
    assert model.seen(model.images[1]).depth_n[0] == pytest.approx(turned_z)


def test_a_point_behind_the_camera_or_outside_the_picture_is_not_seen(tmp_path: Path) -> None:
    camera = SampleCamera("PINHOLE", 640, 480, (500.0, 500.0, 320.0, 240.0))
    features = [
        (10.0, 10.0, 1),
        (20.0, 20.0, 2),
        (-5.0, 20.0, 1),
        (640.0, 20.0, 1),
        (30.0, 30.0, 77),
    ]
    image = SampleImage("a.jpg", 1, np.eye(3), np.zeros(3), features)
    model = read(SampleModel({1: camera}, (image,), {1: (0, 0, 2), 2: (0, 0, -2)}), tmp_path)
    assert model.seen(model.images[0]).depth_n.tolist() == [2.0]


def test_both_forms_say_the_same_and_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    two_views().write_text(tmp_path / "text")
    two_views().write_binary(tmp_path / "binary")
    text, binary = read_colmap(tmp_path / "text"), read_colmap(tmp_path / "binary")
    for one, other in zip(text.images, binary.images, strict=True):
        assert one.camera == other.camera
        np.testing.assert_array_equal(one.rotation_33, other.rotation_33)
        assert one.observed is not None and other.observed is not None
        np.testing.assert_array_equal(one.observed.xy_n2, other.observed.xy_n2)
        np.testing.assert_array_equal(one.observed.points_n, other.observed.points_n)
    np.testing.assert_array_equal(text.points_n3, binary.points_n3)
    assert text.digest != binary.digest
    assert read_colmap(tmp_path / "text").digest == text.digest


def test_a_model_without_points_or_features_is_one(tmp_path: Path) -> None:
    camera = SampleCamera("PINHOLE", 640, 480, (500.0, 500.0, 320.0, 240.0))
    images = tuple(SampleImage(f"{i}.jpg", 1, np.eye(3), np.zeros(3)) for i in range(2))
    for write in (SampleModel.write_text, SampleModel.write_binary):
        write(SampleModel({1: camera}, images), tmp_path / write.__name__)
        model = read_colmap(tmp_path / write.__name__)
        assert [len(model.seen(image)) for image in model.images] == [0, 0]


def test_a_camera_of_the_picture_is_one_of_its_label(tmp_path: Path) -> None:
    model = read(two_views(), tmp_path)
    camera = model.images[0].camera
    pinhole = camera.pinhole((240, 320))
    assert (pinhole.focal_x_px, pinhole.focal_y_px) == (250.0, 255.0)
    assert (pinhole.centre_x_px, pinhole.centre_y_px) == (159.5, 119.5)
    assert camera.fits(4000, 3000) and not camera.fits(3000, 4000)
    pose_44 = model.images[1].camera_to_world_44
    point_4 = np.append(model.images[1].to_camera(np.array([1.0, 2.0, 3.0])), 1.0)
    np.testing.assert_allclose((pose_44 @ point_4)[:3], [1, 2, 3])


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    two_views().write_text(tmp_path)
    (tmp_path / "points3D.txt").unlink()
    with pytest.raises(ConfigError, match="holds no COLMAP model"):
        read_colmap(tmp_path)


@pytest.mark.parametrize("file", ["cameras.bin", "images.bin", "points3D.bin"])
def test_a_count_that_the_file_cannot_hold_is_refused_first(file: str, tmp_path: Path) -> None:
    two_views().write_binary(tmp_path)
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(struct.pack("<Q", 2**60) + content[8:])
    with pytest.raises(ConfigError, match=rf"{file}: it promises 1,152,921,504,606,846,976 "):
        read_colmap(tmp_path)


@pytest.mark.parametrize("file", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("suffix", ["bin", "txt"])
def test_a_damaged_file_is_named(file: str, suffix: str, tmp_path: Path) -> None:
    write = SampleModel.write_binary if suffix == "bin" else SampleModel.write_text
    write(two_views(), tmp_path)
    path = tmp_path / f"{file}.{suffix}"
    content = path.read_bytes()
    path.write_bytes(content[:-5] if suffix == "bin" else content.replace(b" 0", b" x", 1))
    with pytest.raises(ConfigError, match=rf"{file}\.{suffix}"):
        read_colmap(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["../up.jpg", "/etc/x.jpg", "a//b.jpg", "a\\b.jpg", "a/./b", "a\x1b[2Jb.jpg", "x" * 1025],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    camera = SampleCamera("PINHOLE", 640, 480, (500.0, 500.0, 320.0, 240.0))
    model = SampleModel({1: camera}, (SampleImage(name, 1, np.eye(3), np.zeros(3)),))
    model.write_binary(tmp_path)
    with pytest.raises(ConfigError, match="path below the folder of pictures"):
        read_colmap(tmp_path)


def image_of(model: SampleModel, **changed: object) -> SampleModel:
    return SampleModel(
        model.cameras, [SampleImage(**{**vars(model.images[0]), **changed})], model.points
    )


def test_numbers_that_are_no_camera_and_no_pose_are_refused(tmp_path: Path) -> None:
    nobody = two_views()
    for number, (model, words) in enumerate(
        (
            (SampleModel({1: SampleCamera("PINHOLE", 0, 4, (5, 5, 2, 2))}, ()), "camera of 0 x 4"),
            (SampleModel({1: SampleCamera("PINHOLE", 9, 4, (-5, 5, 2, 2))}, ()), "focal length -5"),
            (SampleModel({1: SampleCamera("PINHOLE", 9, 4, (5, 5, 2))}, ()), "expected 4 finite"),
            (SampleModel({1: SampleCamera("TELESCOPE", 9, 4, (5,))}, ()), "model TELESCOPE"),
            (image_of(nobody, camera=77), "has the camera 77"),
            (image_of(nobody, translation_3=np.array([0, 0, np.nan])), "has no pose"),
            (
                SampleModel(nobody.cameras, [nobody.images[0]] * 2, nobody.points),
                "several pictures",
            ),
        )
    ):
        model.write_text(tmp_path / str(number))
        with pytest.raises(ConfigError, match=words):
            read_colmap(tmp_path / str(number))


def test_a_quaternion_without_length_is_no_pose(tmp_path: Path) -> None:
    two_views().write_text(tmp_path)
    text = (tmp_path / "images.txt").read_text().splitlines()
    text[1] = "1 0 0 0 0 0 0 0 1 a.jpg"
    (tmp_path / "images.txt").write_text("\n".join(text))
    with pytest.raises(ConfigError, match="no rotation"):
        read_colmap(tmp_path)
