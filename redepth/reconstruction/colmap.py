"""A COLMAP model: cameras, images and points3D, as .bin or as .txt.

Files may come from a stranger: each is at most 2 GiB, and every count in it is held to the bytes
that are there before memory is taken for it.

Source: the formats as COLMAP's documentation and its scripts/python/read_write_model.py have them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from redepth.errors import ConfigError
from redepth.geometry.camera import Doubles
from redepth.images.data_files import read_file
from redepth.reconstruction import colmap_binary, colmap_text
from redepth.reconstruction.cameras import ColmapCamera
from redepth.reconstruction.colmap_records import ColmapImage, ColmapPoints
from redepth.reconstruction.model import Observations, PosedImage, Reconstruction

MAX_FILE_BYTES = 2**31
_PARTS = ("cameras", "images", "points3D")
_PLACES = (".", "sparse/0", "sparse")


@dataclass(frozen=True, slots=True)
class _Format:
    cameras: Callable[[bytes], Mapping[int, ColmapCamera]]
    images: Callable[[bytes], list[ColmapImage]]
    points: Callable[[bytes], ColmapPoints]


_FORMATS = {
    "bin": _Format(colmap_binary.cameras, colmap_binary.images, colmap_binary.points),
    "txt": _Format(colmap_text.cameras, colmap_text.images, colmap_text.points),
}


def read_colmap(folder: Path) -> Reconstruction:
    """Read a model from its folder, or from `sparse/0` or `sparse` below it; .bin goes first.

    Raises:
        ConfigError: there is none, or a file is damaged, too large, or no such file; names it.
    """
    place, suffix = find_model(folder)
    held = {part: read_file(place / f"{part}.{suffix}", MAX_FILE_BYTES) for part in _PARTS}
    read = _FORMATS[suffix]
    with colmap_binary.naming(place / f"cameras.{suffix}"):
        cameras = read.cameras(held["cameras"])
    with colmap_binary.naming(place / f"images.{suffix}"):
        images = read.images(held["images"])
    with colmap_binary.naming(place / f"points3D.{suffix}"):
        points = read.points(held["points3D"])
    with colmap_binary.naming(place):
        posed = tuple(_posed(image, cameras, points.numbers_n) for image in images)
        digest = hashlib.sha256(b"".join(hashlib.sha256(held[p]).digest() for p in _PARTS))
        return Reconstruction(posed, points.xyz_n3, points.rgb_n3, digest.hexdigest())


def find_model(folder: Path) -> tuple[Path, str]:
    """Return the folder that holds a model's files, and their suffix. Raises ConfigError: none."""
    for place in _PLACES:
        for suffix in _FORMATS:
            if all((folder / place / f"{part}.{suffix}").is_file() for part in _PARTS):
                return folder / place, suffix
    raise ConfigError(
        f"{folder} holds no COLMAP model: expected cameras, images and points3D as .bin or .txt, "
        "in it or in sparse/0 below it"
    )


def _posed(
    image: ColmapImage, cameras: Mapping[int, ColmapCamera], numbers_n: npt.NDArray[np.int64]
) -> PosedImage:
    if image.camera not in cameras:
        raise ConfigError(f"the picture {image.name!r:.200} has the camera {image.camera}: no such")
    observed = _observations(image.xy_n2, image.points_n, numbers_n)
    rotation_33 = rotation_of(image.quaternion)
    return PosedImage(
        image.name, cameras[image.camera], rotation_33, np.array(image.translation), observed
    )


def _observations(
    xy_n2: Doubles, points_n: npt.NDArray[np.int64], numbers_n: npt.NDArray[np.int64]
) -> Observations:
    """Keep the features that are points of the model; `numbers_n` is sorted."""
    if not len(numbers_n):
        return Observations(np.zeros((0, 2)), np.zeros(0, dtype=np.int64))
    places = np.minimum(np.searchsorted(numbers_n, points_n), len(numbers_n) - 1)
    kept = (numbers_n[places] == points_n) & np.isfinite(xy_n2).all(axis=1)
    return Observations(xy_n2[kept], places[kept])


def rotation_of(quaternion: tuple[float, float, float, float]) -> Doubles:
    """Return the rotation of a quaternion (w, x, y, z), [3, 3]; NaN where it has no length."""
    with np.errstate(invalid="ignore", divide="ignore"):
        w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
