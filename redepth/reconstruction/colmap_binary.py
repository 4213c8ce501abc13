"""cameras.bin, images.bin, points3D.bin: little-endian, without alignment.

cameras   count Q, then number I, model i, width Q, height Q, params d...
images    count Q, then number I, quaternion 4d, translation 3d, camera I, name ending in NUL,
          count Q of (x d, y d, point q)
points3D  count Q, then number Q, x y z 3d, r g b 3B, error d, count Q of (image I, feature I)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from redepth.errors import ConfigError
from redepth.reconstruction.cameras import BY_NUMBER, ColmapCamera
from redepth.reconstruction.colmap_records import ColmapImage, ColmapPoints, sorted_points
from redepth.reconstruction.model import MAX_NAME_CHARS

_CAMERA = struct.Struct("<IiQQ")
_IMAGE = struct.Struct("<I4d3dI")
_FEATURES = np.dtype([("xy", "<f8", (2,)), ("point", "<i8")])
_POINT = struct.Struct("<Q3d3BdQ")
_TRACK_BYTES = 8


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say which file a ConfigError is about, and make one of what damaged numbers raise."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except (ValueError, IndexError, OverflowError, struct.error) as error:
        raise ConfigError(f"{path} is damaged, or no file of a COLMAP model: {error}") from error


class _Cursor:
    """Reads one value after the other; nothing is read, or made room for, beyond the end."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, layout: struct.Struct) -> tuple[Any, ...]:
        values = layout.unpack_from(self._content, self._at)
        self._at += layout.size
        return values

    def count(self, least_bytes_each: int, what: str) -> int:
        """Read a count, and refuse one that the rest of the file cannot hold."""
        (number,) = self.take(struct.Struct("<Q"))
        left = len(self._content) - self._at
        if number * least_bytes_each > left:
            raise ConfigError(f"it promises {number:,} {what}, and has {left:,} bytes left")
        return int(number)

    def array(self, dtype: np.dtype[Any], number: int) -> Any:
        values = np.frombuffer(self._content, dtype, number, self._at)
        self._at += number * dtype.itemsize
        return values

    def skip(self, num_bytes: int) -> None:
        if self._at + num_bytes > len(self._content):
            raise ConfigError("it ends in the middle of a point")
        self._at += num_bytes

    def text(self) -> str:
        end = self._content.find(b"\0", self._at, self._at + 4 * MAX_NAME_CHARS)
        if end < 0:
            raise ConfigError("a picture's name does not end")
        name = self._content[self._at : end].decode("utf-8")
        self._at = end + 1
        return name


def cameras(content: bytes) -> dict[int, ColmapCamera]:
    """Read cameras.bin, by number."""
    cursor = _Cursor(content)
    return dict(_camera(cursor) for _ in range(cursor.count(_CAMERA.size, "cameras")))


def _camera(cursor: _Cursor) -> tuple[int, ColmapCamera]:
    number, model_number, width_px, height_px = cursor.take(_CAMERA)
    model = BY_NUMBER.get(model_number)
    if model is None:
        raise ConfigError(
            f"a camera of the model number {model_number}, which redepth does not know: undistort "
            "the photographs (colmap image_undistorter), and take that model"
        )
    params = cursor.take(struct.Struct(f"<{model.num_params}d"))
    return number, ColmapCamera(model, width_px, height_px, params)


def images(content: bytes) -> list[ColmapImage]:
    """Read images.bin."""
    cursor = _Cursor(content)
    return [_image(cursor) for _ in range(cursor.count(_IMAGE.size, "images"))]


def _image(cursor: _Cursor) -> ColmapImage:
    _, *pose, camera = cursor.take(_IMAGE)
    name = cursor.text()
    features = cursor.array(_FEATURES, cursor.count(_FEATURES.itemsize, "features"))
    w, x, y, z, *translation = pose
    tx, ty, tz = translation
    return ColmapImage(
        name, (w, x, y, z), (tx, ty, tz), camera,
        features["xy"].astype(np.float64), features["point"].astype(np.int64),
    )  # fmt: skip


def points(content: bytes) -> ColmapPoints:
    """Read points3D.bin; tracks are passed over, images say the same."""
    cursor = _Cursor(content)
    number = cursor.count(_POINT.size, "points")
    numbers_n = np.empty(number, dtype=np.int64)
    xyz_n3 = np.empty((number, 3))
    rgb_n3 = np.empty((number, 3), dtype=np.uint8)
    for i in range(number):
        numbers_n[i], *place, red, green, blue, _, track = cursor.take(_POINT)
        xyz_n3[i], rgb_n3[i] = place, (red, green, blue)
        cursor.skip(track * _TRACK_BYTES)
    return sorted_points(numbers_n, xyz_n3, rgb_n3)
