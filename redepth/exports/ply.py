"""ply: points as a binary PLY file, as every viewer of point clouds reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from redepth.geometry.points import PointCloud
from redepth.printable import one_line

_MAX_COMMENT_CHARS = 200


def write_ply(path: Path, cloud: PointCloud) -> None:
    """Write x, y, z (float32) and red, green, blue (uint8) of each point.

    Little-endian binary. Camera frame: x to the right, y down, z ahead; a comment says the unit.
    """
    path.write_bytes(cloud_ply(cloud))


def cloud_ply(cloud: PointCloud) -> bytes:
    """Return the bytes of a cloud in the camera frame, with its unit in a comment."""
    comments = ("camera frame: x right, y down, z ahead", f"unit: {cloud.unit}")
    return ply_of(cloud.xyz_n3, cloud.rgb_n3, comments)


def ply_of(
    xyz_n3: npt.NDArray[np.floating], rgb_n3: npt.NDArray[np.uint8] | None, comments: Sequence[str]
) -> bytes:
    """Return the bytes of a PLY of points, with colours where there are some."""
    fields = [(name, "<f4", "float") for name in "xyz"]
    if rgb_n3 is not None:
        fields += [(name, "u1", "uchar") for name in ("red", "green", "blue")]
    rows = np.empty(len(xyz_n3), dtype=[(name, dtype) for name, dtype, _ in fields])
    for axis, name in enumerate("xyz"):
        rows[name] = xyz_n3[:, axis]
    for channel, name in enumerate(("red", "green", "blue") if rgb_n3 is not None else ()):
        rows[name] = rgb_n3[:, channel] if rgb_n3 is not None else 0
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment {_ascii(comment)}" for comment in comments),
        f"element vertex {len(rows)}",
        *(f"property {type_} {name}" for name, _, type_ in fields),
        "end_header",
    ]
    return ("\n".join(lines) + "\n").encode("ascii") + rows.tobytes()


def _ascii(comment: str) -> str:
    comment = comment.replace("end_header", "end-header")  # some readers look for nothing else
    return one_line(comment, _MAX_COMMENT_CHARS).encode("ascii", "replace").decode()
