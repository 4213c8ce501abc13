"""Score a disparity against a scene's exact depth.

Every map is brought to the truth by the evaluation protocol of Re-Depth Anything: least squares in
disparity to 1 / z, inverted, least squares in depth. A disparity is known up to scale and shift
only, so that four numbers of the truth are given to every condition alike; an error that an affine
change of the disparity could mend is none. It is fitted over the pixels that are scored.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np

from redepth.evaluation.boundaries import boundary_metrics, depth_edges
from redepth.evaluation.metrics import depth_metrics
from redepth.evaluation.normals import mean_normal_angle_deg
from redepth.geometry.alignment import align_disparity_then_depth
from redepth.scenes.scene import Array, BoolMap, Scene
from redepth.types import FloatMap

MIN_REGION_PX = 16


class Region(StrEnum):
    """Which pixels are scored: all of them, or those of the thing that the caption names."""

    WHOLE = "whole"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Scores:
    """The figures of one map on one region; see `DepthMetrics` and `BoundaryMetrics`.

    Attributes:
        normal_deg: mean angle between the normals of the aligned depth and of the true one.
        edge_accuracy_px, edge_completeness_px, edge_precision, edge_recall, edge_f1: NaN for a
            surface without edges.
    """

    abs_rel: float
    rmse: float
    delta_1_25: float
    delta_1_05: float
    normal_deg: float
    edge_accuracy_px: float
    edge_completeness_px: float
    edge_precision: float
    edge_recall: float
    edge_f1: float

    def as_json(self) -> dict[str, float | None]:
        """Return the figures to six digits; NaN, which JSON does not have, is null."""
        return {k: float(f"{v:.6g}") if math.isfinite(v) else None for k, v in asdict(self).items()}


def regions_of(scene: Scene) -> dict[Region, BoolMap]:
    """Return the pixels of each region that a scene has."""
    regions = {Region.WHOLE: np.ones_like(scene.mask_hw)}
    if scene.mask_hw.sum() >= MIN_REGION_PX:
        regions[Region.OBJECT] = scene.mask_hw
    return regions


def score(disparity_hw: FloatMap | Array, scene: Scene, mask_hw: BoolMap) -> Scores:
    """Align a disparity to the truth over the mask and measure it there."""
    depth_hw = align(disparity_hw, scene, mask_hw)
    depth = depth_metrics(depth_hw, scene.depth_hw, mask_hw)
    edges_hw = depth_edges(depth_hw) & mask_hw
    boundary = boundary_metrics(edges_hw, depth_edges(scene.depth_hw) & mask_hw)
    return Scores(
        abs_rel=depth.abs_rel,
        rmse=depth.rmse,
        delta_1_25=depth.delta1,
        delta_1_05=depth.delta_1_05,
        normal_deg=mean_normal_angle_deg(
            points_of(depth_hw, scene), points_of(scene.depth_hw, scene), mask_hw
        ),
        edge_accuracy_px=boundary.accuracy_px,
        edge_completeness_px=boundary.completeness_px,
        edge_precision=boundary.precision,
        edge_recall=boundary.recall,
        edge_f1=boundary.f1,
    )


def align(disparity_hw: FloatMap | Array, scene: Scene, mask_hw: BoolMap) -> Array:
    """Return the depth that a disparity means, in the truth's unit, aligned over the mask."""
    return align_disparity_then_depth(disparity_hw, scene.depth_hw, mask_hw).depth_hw


def points_of(depth_hw: FloatMap | Array, scene: Scene) -> Array:
    """Return the points of a depth, [H, W, 3]: on the re-lighting's grid, or along the rays."""
    height, width = depth_hw.shape
    if scene.camera is not None:
        rows, columns = np.mgrid[:height, :width].astype(np.float64)
        rays_hw3: Array = scene.camera.rays(columns, rows)
        return rays_hw3 * depth_hw[..., None].astype(np.float64)
    u = np.linspace(-width / height, width / height, width)
    v = np.linspace(1.0, -1.0, height)
    return np.stack((*np.meshgrid(u, v), depth_hw), axis=-1)
