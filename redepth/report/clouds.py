"""A metric label as a cloud of points: made, and drawn from three sides for people to look at."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from redepth.errors import ConfigError
from redepth.geometry.camera import Pinhole
from redepth.geometry.points import PointCloud, point_cloud
from redepth.printable import one_line
from redepth.report.pictures import DOTS_PER_INCH, UNTRAINED_WARNING, LabelPicture
from redepth.types import ByteImage, FloatMap, LabelRow

_GREY = 128
_PANEL_IN = 4.6
_MOST_POINTS = 300_000
# What is drawn: the middle of the cloud; a few points far off would make all others a dot.
_SHOWN = (0.002, 0.998)


def cloud_of(
    picture: LabelPicture,
    quantity: str,
    photograph_focal_px: float | None,
    *,
    keep_edges: bool = False,
) -> PointCloud:
    """Return a label's points, grey where the photograph can no longer be read.

    Args:
        quantity: "refined" or "coarse".
        photograph_focal_px: in pixels of the upright photograph; None takes the row's.

    Raises:
        ConfigError: the label is not in metres, or nobody says its focal length.
    """
    row = picture.row
    if row.kind is None or not row.kind.is_metric:
        raise ConfigError(
            f"{row.id} is {row.kind}: its scale and shift are unknown, and so is where its points "
            "are. A point cloud takes a label in metres (docs/metric-depth.md)"
        )
    depth_hw = picture.refined_hw if quantity == "refined" else picture.coarse_hw
    return point_cloud(
        depth_hw,
        _colours(picture, depth_hw.shape),
        _camera_of(row, photograph_focal_px),
        keep_edges=keep_edges,
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
    """Return a PNG of a cloud from the front, the right side and above, in metres."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * _PANEL_IN, _PANEL_IN), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    xyz_n3, rgb_n3 = _shown(cloud)
    x, y, z = xyz_n3.T
    for axis, (title, across, up, towards, labels) in zip(
        figure.subplots(1, 3),
        (
            ("from the front", x, -y, -z, ("x (m)", "-y (m)")),
            ("from the right side", z, -y, x, ("z (m)", "-y (m)")),
            ("from above", x, z, -y, ("x (m)", "z (m)")),
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
