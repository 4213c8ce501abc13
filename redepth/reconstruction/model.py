"""Posed pictures, and the sparse points each of them sees.

World frame: that of the reconstruction, in its unit, which is metres only if somebody made it so.
Camera frame: x to the right, y down, z ahead, as in `geometry.camera`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from redepth.errors import ConfigError
from redepth.geometry.camera import Doubles
from redepth.printable import one_line
from redepth.reconstruction.cameras import ColmapCamera

Ints = npt.NDArray[np.int64]
MAX_NAME_CHARS = 1024
# Of points that are projected: what hides others, in shares of the picture's width and of depth.
_CELLS_ACROSS = 64
_HIDDEN_BEHIND = 1.05


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Which points a picture was found to see, and where.

    Attributes:
        xy_n2: float64 [N, 2], columns and rows in the camera's pixels, from the picture's corner.
        points_n: int64 [N], positions in `Reconstruction.points_n3`.
    """

    xy_n2: Doubles
    points_n: Ints


@dataclass(frozen=True, slots=True, eq=False)
class PosedImage:
    """A picture with its camera and pose: camera = rotation @ world + translation.

    Attributes:
        name: its path below the folder of pictures.
        rotation_33, translation_3: float64, from the world into the camera frame.
        observed: None where nobody says which points it sees: then all are projected into it.

    Raises:
        ConfigError: a name that leads out of the folder of pictures, or a pose that is none.
    """

    name: str
    camera: ColmapCamera
    rotation_33: Doubles
    translation_3: Doubles
    observed: Observations | None = None

    def __post_init__(self) -> None:
        _require_name(self.name)
        turned = self.rotation_33 @ self.rotation_33.T
        is_rotation = np.allclose(turned, np.eye(3), atol=1e-3)
        if not is_rotation or not np.isfinite(self.translation_3).all():
            raise ConfigError(
                f"{one_line(self.name, 200)} has no pose: its numbers are no rotation"
            )

    @property
    def stem(self) -> str:
        """The name without its suffix, as trainers name the files beside a picture."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def camera_to_world_44(self) -> Doubles:
        """The pose as a matrix from the camera frame into the world, float64 [4, 4]."""
        pose_44 = np.eye(4)
        pose_44[:3, :3] = self.rotation_33.T
        pose_44[:3, 3] = -self.rotation_33.T @ self.translation_3
        return pose_44

    def to_camera(self, points_n3: Doubles) -> Doubles:
        """Return points of the world in the camera frame."""
        seen: Doubles = points_n3 @ self.rotation_33.T + self.translation_3
        return seen


@dataclass(frozen=True, slots=True, eq=False)
class SeenPoints:
    """The points that a picture sees.

    Attributes:
        columns_n, rows_n: float64, as shares of the picture's width and height, 0 to 1 from the
            corner.
        depth_n: float64 > 0, z-depth in the reconstruction's unit.
    """

    columns_n: Doubles
    rows_n: Doubles
    depth_n: Doubles

    def __len__(self) -> int:
        return len(self.depth_n)

    def pixels(self, size_hw: tuple[int, int]) -> tuple[Ints, Ints]:
        """Return the (rows, columns) of the pixels of a map that the points lie in."""
        height_px, width_px = size_hw
        rows = np.minimum((self.rows_n * height_px).astype(np.int64), height_px - 1)
        columns = np.minimum((self.columns_n * width_px).astype(np.int64), width_px - 1)
        return rows, columns


@dataclass(frozen=True, slots=True, eq=False)
class Reconstruction:
    """Posed pictures and sparse points.

    Attributes:
        images: each name once.
        points_n3: float64 [N, 3], world frame.
        colours_n3: uint8 [N, 3]; None where nobody says them.
        digest: sha256 of the files that were read.
    """

    images: tuple[PosedImage, ...]
    points_n3: Doubles
    colours_n3: npt.NDArray[np.uint8] | None
    digest: str

    def __post_init__(self) -> None:
        twice = [
            name for name, number in Counter(one.name for one in self.images).items() if number > 1
        ]
        if twice:
            raise ConfigError(f"several pictures are named {one_line(twice[0], 200)!r}")
        if not np.isfinite(self.points_n3).all():
            raise ConfigError("a point of the reconstruction has a coordinate that is not finite")

    def with_points(
        self, points_n3: Doubles, colours_n3: npt.NDArray[np.uint8] | None
    ) -> Reconstruction:
        """Return the poses with other points of the same world; all are projected."""
        images = tuple(replace(image, observed=None) for image in self.images)
        digest = hashlib.sha256(self.digest.encode() + points_n3.tobytes()).hexdigest()
        return Reconstruction(images, points_n3, colours_n3, digest)

    def seen(self, image: PosedImage) -> SeenPoints:
        """Return the points that a picture sees, those before its camera and in its frame.

        Where nobody says which these are, all points are projected, and those behind a nearer one
        are left out: the picture is cut into 64 x 64 cells, and what lies more than 5 % behind the
        nearest point of its cell or of one beside it is hidden.

        Raises:
            ConfigError: points have to be projected by a camera with distortion.
        """
        camera = image.camera
        if image.observed is not None:
            depth_n = image.to_camera(self.points_n3[image.observed.points_n])[:, 2]
            columns_n = image.observed.xy_n2[:, 0] / camera.width_px
            rows_n = image.observed.xy_n2[:, 1] / camera.height_px
            return _inside(columns_n, rows_n, depth_n)
        if not camera.is_undistorted:
            raise ConfigError(
                f"{one_line(image.name, 200)} has a camera with distortion ({camera.model.name}), "
                "and points cannot be projected into it: undistort the photographs first "
                "(colmap image_undistorter), and label those"
            )
        return _visible(_projected(image, self.points_n3))


def _projected(image: PosedImage, points_n3: Doubles) -> SeenPoints:
    seen_n3 = image.to_camera(points_n3)
    seen_n3 = seen_n3[seen_n3[:, 2] > 0]
    camera = image.camera
    columns_px, rows_px = camera.pinhole((camera.height_px, camera.width_px)).project(seen_n3)
    return _inside(
        (columns_px + 0.5) / camera.width_px, (rows_px + 0.5) / camera.height_px, seen_n3[:, 2]
    )


def _inside(columns_n: Doubles, rows_n: Doubles, depth_n: Doubles) -> SeenPoints:
    kept = (columns_n >= 0) & (columns_n < 1) & (rows_n >= 0) & (rows_n < 1) & (depth_n > 0)
    return SeenPoints(columns_n[kept], rows_n[kept], depth_n[kept])


def _visible(points: SeenPoints) -> SeenPoints:
    """Leave out what lies behind the nearest point of its cell and of those around it."""
    from scipy.ndimage import minimum_filter

    cells = points.pixels((_CELLS_ACROSS, _CELLS_ACROSS))
    nearest_hw = np.full((_CELLS_ACROSS, _CELLS_ACROSS), np.inf)
    np.minimum.at(nearest_hw, cells, points.depth_n)
    around_hw = minimum_filter(nearest_hw, size=3, mode="nearest")
    return _kept(points, points.depth_n <= _HIDDEN_BEHIND * around_hw[cells])


def _kept(points: SeenPoints, kept: npt.NDArray[np.bool_]) -> SeenPoints:
    return SeenPoints(points.columns_n[kept], points.rows_n[kept], points.depth_n[kept])


def _require_name(name: str) -> None:
    """Refuse a name that is no path below a folder: files are written under it."""
    parts = name.split("/")
    is_path = name.isprintable() and "\\" not in name and len(name) <= MAX_NAME_CHARS
    if not is_path or any(part in ("", ".", "..") for part in parts):
        raise ConfigError(
            f"a picture is named {one_line(name, 200)!r}, expected a path below the folder of "
            "pictures, with / between folders"
        )
