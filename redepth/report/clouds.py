"""A label as points or a surface: made, and drawn from three sides for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from redepth.errors import ConfigError
from redepth.geometry.camera import Pinhole
from redepth.geometry.meshes import Mesh, surface_mesh
from redepth.geometry.points import PointCloud, point_cloud
from redepth.geometry.relative_depth import METRES, relative_depth, unit_words
from redepth.printable import one_line
from redepth.report.pictures import DOTS_PER_INCH, UNTRAINED_WARNING, LabelPicture
from redepth.types import ByteImage, FloatMap, LabelRow

_GREY = 128
_PANEL_IN = 4.6
_MOST_POINTS = 300_000
# What is drawn: the middle of the cloud; a few points far off would make all others a dot.
_SHOWN = (0.002, 0.998)


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What points and surfaces of a label are made of.

    Attributes:
        depth_hw: float32 [H, W], z-depth in `unit`.
        rgb_hw3: uint8 [H, W, 3], grey where the photograph can no longer be read.
        unit: in words.
    """

    depth_hw: FloatMap
    rgb_hw3: ByteImage
    camera: Pinhole
    unit: str

    def cloud(self, *, keep_edges: bool = False) -> PointCloud:
        """Return a point a pixel, but for those between two surfaces, unless they are kept."""
        return point_cloud(
            self.depth_hw, self.rgb_hw3, self.camera, keep_edges=keep_edges, unit=self.unit
        )

    def mesh(self) -> Mesh:
        """Return the surface, with holes at depth edges.

        Raises:
            ConfigError: no two neighbours have a depth, and there is no triangle.
        """
        mesh = surface_mesh(self.depth_hw, self.rgb_hw3, self.camera)
        if not len(mesh.faces_m3):
            raise ConfigError("there is no surface: no neighbouring pixels of the label are on one")
        return mesh


def shape_of(
    picture: LabelPicture,
    quantity: str,
    photograph_focal_px: float | None,
    far_ratio: float | None = None,
) -> Shape:
    """Return a label as depth with a camera.

    Args:
        quantity: "refined" or "coarse".
        photograph_focal_px: in pixels of the upright photograph; None takes the row's.
        far_ratio: of a label without a unit: its nearest point is put at 1, its farthest there
            (`geometry.relative_depth`); None refuses such labels.

    Raises:
        ConfigError: the label is not in metres, or nobody says its focal length.
    """
    row = picture.row
    label_hw = picture.refined_hw if quantity == "refined" else picture.coarse_hw
    depth_hw, unit = _depth_of(row, label_hw, far_ratio)
    return Shape(
        depth_hw, _colours(picture, label_hw.shape), _camera_of(row, photograph_focal_px), unit
    )


def _depth_of(row: LabelRow, label_hw: FloatMap, far_ratio: float | None) -> tuple[FloatMap, str]:
    if row.kind is not None and row.kind.is_metric:
        return label_hw, METRES
    if row.kind is not None and far_ratio is not None:
        return relative_depth(label_hw, row.kind, far_ratio), unit_words(far_ratio)
    raise ConfigError(
        f"{row.id} is {row.kind}: its scale and shift are unknown, and so is where its points "
        "are. A point cloud takes a label in metres (docs/metric-depth.md); --far-ratio makes one "
        "to look at (docs/3d.md)"
    )


def _colours(picture: LabelPicture, size_hw: tuple[int, ...]) -> ByteImage:
    """Return the photograph at the map's size, grey where it cannot be read."""
    if picture.photograph_hw3 is None:
        return np.full((*size_hw, 3), _GREY, dtype=np.uint8)
    photograph = Image.fromarray(picture.photograph_hw3)
    return np.asarray(photograph.resize((size_hw[1], size_hw[0]), Image.Resampling.BOX))


def _camera_of(row: LabelRow, photograph_focal_px: float | None) -> Pinhole:
    """Return the camera at the label's size: each side has a scale of its own."""
    assert row.width_px and row.height_px and row.image_width_px and row.image_height_px
    size_hw = row.height_px, row.width_px
    by_width, by_height = row.width_px / row.image_width_px, row.height_px / row.image_height_px
    if photograph_focal_px is not None:
        return Pinhole.centred(
            photograph_focal_px * by_width, photograph_focal_px * by_height, size_hw
        )
    if row.focal_px is None:
        raise ConfigError(
            f"nobody says the focal length of {row.id}: give --focal (in pixels of the upright "
            f"photograph, {row.image_width_px} px wide) or --fov (horizontal, in degrees)"
        )
    return Pinhole.centred(row.focal_px, row.focal_px * by_height / by_width, size_hw)


def draw_cloud(cloud: PointCloud, row: LabelRow) -> bytes:
    """Return a PNG of a cloud from the front, the right side and above, in its unit."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * _PANEL_IN, _PANEL_IN), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    xyz_n3, rgb_n3 = _shown(cloud)
    x, y, z = xyz_n3.T
    unit = " (m)" if cloud.unit == METRES else ""
    for axis, (title, across, up, towards, labels) in zip(
        figure.subplots(1, 3),
        (
            ("from the front", x, -y, -z, (f"x{unit}", f"-y{unit}")),
            ("from the right side", z, -y, x, (f"z{unit}", f"-y{unit}")),
            ("from above", x, z, -y, (f"x{unit}", f"z{unit}")),
        ),
        strict=True,
    ):
        order = np.argsort(towards)  # what is nearer to the viewer is drawn over the rest
        axis.scatter(
            across[order], up[order], s=_dot_size(len(xyz_n3)), c=rgb_n3[order] / 255.0,
            linewidths=0, rasterized=True,
        )  # fmt: skip
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(labels[0])
        axis.set_ylabel(labels[1])
        axis.set_aspect("equal")
    left_out = f"{cloud.num_flying:,} flying and {cloud.num_unknown:,} without depth left out"
    title = f"{one_line(row.id, 200)}: {len(cloud):,} points, {left_out}"
    figure.suptitle(title, fontsize=10, parse_math=False)
    if row.untrained:
        figure.supxlabel(UNTRAINED_WARNING, fontsize=10, color="crimson", weight="bold")
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _shown(cloud: PointCloud) -> tuple[FloatMap, ByteImage]:
    """Return the points to draw: without the farthest few, and not more than a picture can show."""
    if not len(cloud):
        raise ConfigError("the cloud has no point: no pixel of the label has a depth")
    low, high = np.quantile(cloud.xyz_n3, _SHOWN, axis=0)
    inside: npt.NDArray[np.bool_] = ((cloud.xyz_n3 >= low) & (cloud.xyz_n3 <= high)).all(axis=1)
    step = -(-int(inside.sum()) // _MOST_POINTS) or 1
    return cloud.xyz_n3[inside][::step], cloud.rgb_n3[inside][::step]


def _dot_size(num_points: int) -> float:
    """Return a dot's area in square points, such that dots about fill a panel between them."""
    return float(np.clip((72 * _PANEL_IN * 0.7) ** 2 / max(num_points, 1), 0.3, 20.0))
