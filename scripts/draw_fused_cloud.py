"""Draw one scene's views fused into a cloud: as they are, with masks, and with confidence too.

python scripts/draw_fused_cloud.py docs/images/fused-cloud.png

The scene is rendered, and its labels stand for those of a network: the mean of three members that
have the true depth, each blurred by another width. Where they disagree, at edges, confidence is
low. A title says how many points are more than 5 cm from every surface that a view truly sees.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import gaussian_filter

from redepth.geometry.camera import Doubles, Pinhole
from redepth.geometry.points import flying_pixels
from redepth.reconstruction.cameras import BY_NAME, ColmapCamera
from redepth.reconstruction.fusing import FusedCloud, Fusion
from redepth.reconstruction.model import PosedImage
from redepth.scenes.scene import Split
from redepth.scenes.views import PosedView, render_views
from redepth.types import FloatMap

SIZE_PX = 224
TURNS_DEG = (-20.0, -10.0, 0.0, 10.0, 20.0)
SEED = 7
BLURS_PX = (0.5, 1.5, 3.0)
TAU = 0.05
VOXEL_M = 0.015
FAR_OFF_M = 0.05
LEAST_CONFIDENCE = 0.8
TURN_DEG, TILT_DEG = -48.0, 22.0  # where the cloud is looked at from: no camera stood there
CENTRE_3, RADIUS_M = np.array([0.0, 0.1, 2.7]), 1.45


def main() -> None:
    """Write the picture to the path that is given."""
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/draw_fused_cloud.py PICTURE.png")
    views = render_views("solids", SEED, SIZE_PX, Split.TUNING, TURNS_DEG)
    panels = (
        ("as the labels are", _fused(views, masked=False, least_confidence=0.0)),
        ("without what hangs between surfaces", _fused(views, masked=True, least_confidence=0.0)),
        (
            f"and confidence of {LEAST_CONFIDENCE:g} or more",
            _fused(views, masked=True, least_confidence=LEAST_CONFIDENCE),
        ),
    )
    titled = [(f"{words}: {_far_off(cloud, views):.1%} off", cloud) for words, cloud in panels]
    Path(sys.argv[1]).write_bytes(_drawn(titled))


def _far_off(cloud: FusedCloud, views: Sequence[PosedView]) -> float:
    """Return the share of points that are more than 5 cm from all true surfaces, along the rays."""
    least_n = np.full(len(cloud.xyz_n3), np.inf)
    for view in views:
        assert view.scene.camera is not None
        seen_n3 = cloud.xyz_n3 @ view.rotation_33.T + view.translation_3
        columns, rows = np.rint(view.scene.camera.project(seen_n3)).astype(np.int64)
        inside = (columns >= 0) & (columns < SIZE_PX) & (rows >= 0) & (rows < SIZE_PX)
        depth_n = view.scene.depth_hw[rows[inside], columns[inside]]
        least_n[inside] = np.minimum(least_n[inside], np.abs(depth_n - seen_n3[inside, 2]))
    return float((least_n > FAR_OFF_M).mean())


def _label(view: PosedView) -> tuple[FloatMap, FloatMap]:
    """Return depth and confidence of an ensemble that is unsure at edges."""
    inverse_hw = 1 / view.scene.depth_hw.astype(np.float64)
    members = np.stack([gaussian_filter(inverse_hw, blur) for blur in BLURS_PX])
    spread_hw, mean_hw = members.std(axis=0), members.mean(axis=0)
    reach = float(np.ptp(np.quantile(mean_hw, (0.05, 0.95))))
    confidence_hw = np.exp(-spread_hw / (TAU * reach))
    return (1 / mean_hw).astype(np.float32), confidence_hw.astype(np.float32)


def _fused(views: Sequence[PosedView], *, masked: bool, least_confidence: float) -> FusedCloud:
    fusion = Fusion(VOXEL_M)
    for number, view in enumerate(views):
        camera = view.scene.camera
        assert camera is not None
        depth_hw, confidence_hw = _label(view)
        out_hw = confidence_hw < least_confidence
        if masked:
            out_hw |= flying_pixels(depth_hw, camera)
        depth_hw = np.where(out_hw, np.float32(np.nan), depth_hw)
        fusion.add(_posed(number, view, camera), depth_hw, view.scene.rgb_hw3, camera)
    return fusion.cloud()


def _posed(number: int, view: PosedView, camera: Pinhole) -> PosedImage:
    params = (camera.focal_x_px, camera.focal_y_px, SIZE_PX / 2, SIZE_PX / 2)
    colmap = ColmapCamera(BY_NAME["PINHOLE"], SIZE_PX, SIZE_PX, params)
    return PosedImage(f"{number}.png", colmap, view.rotation_33, view.translation_3)


def _drawn(panels: Sequence[tuple[str, FusedCloud]]) -> bytes:
    figure = Figure(figsize=(15, 4.4), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    for axis, (title, cloud) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        across, up, order = _looked_at(cloud.xyz_n3)
        colours: npt.NDArray[np.float64] = cloud.rgb_n3[order] / 255.0
        axis.scatter(across[order], up[order], s=2.0, c=colours, linewidths=0, rasterized=True)
        axis.set_title(f"{title}\n{len(cloud.xyz_n3):,} points", fontsize=11)
        axis.set_xlim(-1.25, 1.25)
        axis.set_ylim(-0.9, 0.9)
        axis.set_aspect("equal")
        axis.set_axis_off()
    drawn, file = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(48).save(file, format="PNG", optimize=True)
    return file.getvalue()


def _looked_at(xyz_n3: Doubles) -> tuple[Doubles, Doubles, npt.NDArray[np.int64]]:
    """Return (across, up) of points from a side the cameras never stood at, and far ones first."""
    centred_n3 = xyz_n3 - CENTRE_3
    turned_n3 = centred_n3 @ _rotation(TURN_DEG, TILT_DEG).T
    near = np.linalg.norm(centred_n3, axis=1) < RADIUS_M
    order = np.argsort(-turned_n3[:, 2])
    return turned_n3[:, 0], -turned_n3[:, 1], order[near[order]]


def _rotation(turn_deg: float, tilt_deg: float) -> Doubles:
    turn, tilt = np.radians(turn_deg), np.radians(tilt_deg)
    about_y = np.array(
        [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    )
    return np.asarray(about_x @ about_y)


if __name__ == "__main__":
    main()
