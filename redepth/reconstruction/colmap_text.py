"""cameras.txt, images.txt, points3D.txt: words with spaces between, # begins a comment.

cameras   number model width height params...
images    two lines each: number qw qx qy qz tx ty tz camera name
                          x y point, x y point, ... without commas; may be empty
points3D  number x y z r g b error image feature ...
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from redepth.errors import ConfigError
from redepth.reconstruction.cameras import BY_NAME, ColmapCamera
from redepth.reconstruction.colmap_records import ColmapImage, ColmapPoints, sorted_points

_BEFORE_NAME = 9
_POINT_WORDS = 8


def cameras(content: bytes) -> dict[int, ColmapCamera]:
    """Read cameras.txt, by number."""
    return dict(map(_camera, _records(content)))


def _camera(line: str) -> tuple[int, ColmapCamera]:
    number, name, width_px, height_px, *params = line.split()
    if name not in BY_NAME:
        raise ConfigError(
            f"a camera of the model {name[:80]}, which redepth does not know: undistort the "
            f"photographs (colmap image_undistorter), and take that model; known: "
            f"{', '.join(BY_NAME)}"
        )
    return int(number), ColmapCamera(
        BY_NAME[name], int(width_px), int(height_px), tuple(map(float, params))
    )


def images(content: bytes) -> list[ColmapImage]:
    """Read images.txt."""
    lines = _lines(content)
    return [_image(line, next(lines, "")) for line in lines if _is_record(line)]


def _image(head: str, features: str) -> ColmapImage:
    words = head.split(maxsplit=_BEFORE_NAME)
    w, x, y, z, tx, ty, tz = map(float, words[1:8])
    numbers_n3 = np.array(features.split(), dtype=np.float64).reshape(-1, 3)
    return ColmapImage(
        words[_BEFORE_NAME].strip(), (w, x, y, z), (tx, ty, tz), int(words[8]),
        numbers_n3[:, :2], numbers_n3[:, 2].astype(np.int64),
    )  # fmt: skip


def points(content: bytes) -> ColmapPoints:
    """Read points3D.txt; tracks are passed over, images say the same."""
    rows = [line.split(maxsplit=_POINT_WORDS)[:7] for line in _records(content)]
    values_n7 = np.array(rows, dtype=np.float64).reshape(-1, 7)
    numbers_n = np.array([int(row[0]) for row in rows], dtype=np.int64)
    return sorted_points(numbers_n, values_n7[:, 1:4], values_n7[:, 4:].astype(np.uint8))


def _records(content: bytes) -> Iterator[str]:
    return filter(_is_record, _lines(content))


def _lines(content: bytes) -> Iterator[str]:
    return iter(content.decode("utf-8-sig").split("\n"))


def _is_record(line: str) -> bool:
    stripped = line.strip()
    return bool(stripped) and not stripped.startswith("#")
