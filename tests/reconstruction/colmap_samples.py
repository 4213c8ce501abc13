"""COLMAP models written by hand, as .bin and as .txt."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from redepth.reconstruction.cameras import BY_NAME

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SampleCamera:
    model: str
    width_px: int
    height_px: int
    params: tuple[float, ...]


@dataclass(frozen=True)
class SampleImage:
    """A picture; `features` are (column, row, point number), -1 of no point."""

    name: str
    camera: int
    rotation_33: Doubles
    translation_3: Doubles
    features: Sequence[tuple[float, float, int]] = ()

    @property
    def quaternion(self) -> tuple[float, ...]:
        x, y, z, w = Rotation.from_matrix(self.rotation_33).as_quat()
        return w, x, y, z


@dataclass(frozen=True)
class SampleModel:
    """Cameras by number, pictures, and points by number: (x, y, z)."""

    cameras: dict[int, SampleCamera]
    images: Sequence[SampleImage]
    points: dict[int, tuple[float, float, float]] = field(default_factory=dict)

    def write_text(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cameras.txt").write_text("".join(
            f"{n} {c.model} {c.width_px} {c.height_px} {_words(c.params)}\n"
            for n, c in self.cameras.items()
        ))  # fmt: skip
        lines = ["# Image list with two lines of data per image:"]
        for number, image in enumerate(self.images, 1):
            pose = _words((*image.quaternion, *image.translation_3))
            lines += [f"{number} {pose} {image.camera} {image.name}"]
            lines += [" ".join(f"{x!r} {y!r} {p}" for x, y, p in image.features)]
        (folder / "images.txt").write_text("\n".join(lines) + "\n")
        (folder / "points3D.txt").write_text("".join(
            f"{n} {_words(xyz)} 10 20 30 0.5 {' '.join(f'{i} {at}' for i, at in self._track(n))}\n"
            for n, xyz in self.points.items()
        ))  # fmt: skip

    def _track(self, point: int) -> list[tuple[int, int]]:
        """Return (picture, feature) of all that see a point."""
        return [
            (number, place)
            for number, image in enumerate(self.images, 1)
            for place, (_, _, seen) in enumerate(image.features)
            if seen == point
        ]

    def write_binary(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        cameras = [
            struct.pack("<IiQQ", n, BY_NAME[c.model].number, c.width_px, c.height_px)
            + struct.pack(f"<{len(c.params)}d", *c.params)
            for n, c in self.cameras.items()
        ]
        (folder / "cameras.bin").write_bytes(_counted(cameras))
        images = [
            struct.pack("<I7dI", n, *image.quaternion, *image.translation_3, image.camera)
            + image.name.encode() + b"\0"
            + _counted([struct.pack("<ddq", x, y, p) for x, y, p in image.features])
            for n, image in enumerate(self.images, 1)
        ]  # fmt: skip
        (folder / "images.bin").write_bytes(_counted(images))
        points = [
            struct.pack("<Q3d3Bd", n, *xyz, 10, 20, 30, 0.5)
            + _counted([struct.pack("<II", i, at) for i, at in self._track(n)])
            for n, xyz in self.points.items()
        ]
        (folder / "points3D.bin").write_bytes(_counted(points))


def _counted(records: Sequence[bytes]) -> bytes:
    return struct.pack("<Q", len(records)) + b"".join(records)


def _words(numbers: Sequence[float] | Doubles) -> str:
    return " ".join(repr(float(number)) for number in numbers)


def turned(degrees: float, about: str = "y") -> Doubles:
    """Return a rotation about an axis of the world."""
    matrix: Doubles = Rotation.from_euler(about, degrees, degrees=True).as_matrix()
    return matrix


def two_views() -> SampleModel:
    """Two pictures of 640 x 480 that see some of five points; point 9 lies behind both."""
    camera = SampleCamera("PINHOLE", 640, 480, (500.0, 510.0, 320.0, 240.0))
    points = {
        3: (0.0, 0.0, 4.0), 7: (1.0, 0.5, 5.0), 8: (-1.0, 0.2, 6.0), 9: (0.0, 0.0, -3.0),
        2**40: (0.2, -0.4, 3.0),
    }  # fmt: skip
    return SampleModel(
        {1: camera, 4: SampleCamera("SIMPLE_RADIAL", 640, 480, (500.0, 320.0, 240.0, 0.01))},
        (
            seeing("a/one.jpg", 1, camera, np.eye(3), np.zeros(3), points, (3, 7, 8, 2**40)),
            seeing(
                "two words.jpg", 4, camera, turned(10), np.array([0.1, 0.2, 0.3]), points, (3, 7)
            ),
        ),
        points,
    )


def seeing(
    name: str,
    number: int,
    camera: SampleCamera,
    rotation_33: Doubles,
    translation_3: Doubles,
    points: dict[int, tuple[float, float, float]],
    seen: Sequence[int],
) -> SampleImage:
    """Return a picture with these points where a pinhole camera sees them, and one feature more."""
    fx, fy, cx, cy = camera.params[:4]
    features = [(3.5, 4.5, -1)]
    for point in seen:
        x, y, z = rotation_33 @ np.array(points[point]) + translation_3
        features.append((float(fx * x / z + cx), float(fy * y / z + cy), point))
    return SampleImage(name, number, rotation_33, translation_3, features)
