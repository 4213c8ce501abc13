"""Every figure of one map against one ground truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from redepth.datasets.ground_truth import BoolMap, GroundTruth, GroundTruthKind, Size
from redepth.evaluation.alignments import Alignment, align_to_depth, align_to_disparity
from redepth.evaluation.boundaries import boundary_metrics, depth_or_disparity_edges
from redepth.evaluation.metrics import depth_metrics
from redepth.evaluation.normals import mean_normal_angle_deg
from redepth.geometry.camera import Camera
from redepth.types import DepthKind, FloatMap

Doubles = npt.NDArray[np.float64]

HOLE_MARGIN_PX = 2  # what is invented in a hole shows this far beside it


@dataclass(frozen=True, slots=True)
class Figures:
    """How far an aligned map is from the ground truth; NaN for what it does not tell.

    Attributes:
        abs_rel, sq_rel, rmse, rmse_log, silog, log10, delta1, delta2, delta3, delta_1_05: see
            `DepthMetrics`. For a disparity they are those of disparity.
        edge_accuracy_px, edge_completeness_px: DBE_acc and DBE_comp; see `BoundaryMetrics`.
        edge_precision, edge_recall, edge_f1: see `BoundaryMetrics`.
        normal_deg: mean angle between the normals; needs a ground truth with a camera.
        share_scored: scored pixels over those that the protocol asks for. Below 1, some of the
            aligned map is at infinity or behind the camera and no figure counts it.
    """

    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    silog: float
    log10: float
    delta1: float
    delta2: float
    delta3: float
    delta_1_05: float
    edge_accuracy_px: float
    edge_completeness_px: float
    edge_precision: float
    edge_recall: float
    edge_f1: float
    normal_deg: float
    share_scored: float


# Names of the tables; an arrow says which way is better.
TITLES: Mapping[str, str] = {
    "abs_rel": "AbsRel ↓",
    "sq_rel": "SqRel ↓",
    "rmse": "RMSE ↓",
    "rmse_log": "RMSElog ↓",
    "silog": "SIlog ↓",
    "log10": "log10 ↓",
    "delta1": "δ<1.25 ↑",
    "delta2": "δ<1.25² ↑",
    "delta3": "δ<1.25³ ↑",
    "delta_1_05": "δ<1.05 ↑",
    "edge_accuracy_px": "DBE acc (px) ↓",
    "edge_completeness_px": "DBE comp (px) ↓",
    "edge_precision": "edge precision ↑",
    "edge_recall": "edge recall ↑",
    "edge_f1": "edge F1 ↑",
    "normal_deg": "normals (deg) ↓",
    "share_scored": "share scored ↑",
}


def larger_is_better(figure: str) -> bool:
    """Return whether a figure should grow."""
    return TITLES[figure].endswith("↑")


def align_map(
    map_hw: FloatMap, kind: DepthKind, truth: GroundTruth, alignment: Alignment
) -> Doubles:
    """Resize a map to the ground truth, align it there, and clamp it to what the protocol allows.

    Returns:
        float64 [H, W] of the ground truth's kind and unit; NaN where the map has nothing that is
        positive and finite.

    Raises:
        ConfigError: the alignment does not fit the map's kind or the ground truth's.
        ValueError: no pixel to align over.
    """
    resized_hw = resize_map(map_hw, truth.size_hw)
    mask_hw = truth.mask_hw & np.isfinite(resized_hw)
    align = align_to_depth if truth.kind is GroundTruthKind.DEPTH else align_to_disparity
    aligned_hw = align(resized_hw, kind, truth.map_hw, mask_hw, alignment)
    clamped_hw = np.clip(aligned_hw, truth.limits.lowest, truth.limits.highest)
    clamped_hw[~(np.isfinite(clamped_hw) & (clamped_hw > 0))] = np.nan
    return clamped_hw


def resize_map(map_hw: FloatMap, size_hw: Size) -> FloatMap:
    """Resize bilinearly by pixel centres; a map with invalid values by its nearest pixels."""
    if map_hw.shape == size_hw:
        return map_hw
    smooth = bool(np.isfinite(map_hw).all())
    how = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    image = Image.fromarray(np.ascontiguousarray(map_hw, dtype=np.float32))
    return np.asarray(image.resize(size_hw[::-1], how), dtype=np.float32)


def measure(aligned_hw: Doubles, truth: GroundTruth) -> Figures:
    """Measure an aligned map (see `align_map`) where the protocol asks for it.

    Raises:
        ValueError: no pixel to compare.
    """
    scored_hw = truth.mask_hw & np.isfinite(aligned_hw)
    depth = depth_metrics(aligned_hw, truth.map_hw, scored_hw)
    edges = _EdgeFigures.of(aligned_hw, truth)
    return Figures(
        abs_rel=depth.abs_rel,
        sq_rel=depth.sq_rel,
        rmse=depth.rmse,
        rmse_log=depth.rmse_log,
        silog=depth.silog,
        log10=depth.log10,
        delta1=depth.delta1,
        delta2=depth.delta2,
        delta3=depth.delta3,
        delta_1_05=depth.delta_1_05,
        edge_accuracy_px=edges.accuracy_px,
        edge_completeness_px=edges.completeness_px,
        edge_precision=edges.precision,
        edge_recall=edges.recall,
        edge_f1=edges.f1,
        normal_deg=edges.normal_deg,
        share_scored=float(scored_hw.sum() / truth.mask_hw.sum()),
    )


@dataclass(frozen=True, slots=True)
class _EdgeFigures:
    """The figures that look at neighbouring pixels."""

    accuracy_px: float = math.nan
    completeness_px: float = math.nan
    precision: float = math.nan
    recall: float = math.nan
    f1: float = math.nan
    normal_deg: float = math.nan

    @classmethod
    def of(cls, aligned_hw: Doubles, truth: GroundTruth) -> _EdgeFigures:
        """Compare both maps with their holes filled, and count nothing that lies beside a hole."""
        if not truth.has_edges:
            return cls()
        true_hw = _fill(truth.map_hw.astype(np.float64), truth.mask_hw)
        known_hw = _away_from_holes(truth.mask_hw)
        inside_hw = np.clip(
            _fill(aligned_hw, np.isfinite(aligned_hw)), true_hw.min(), true_hw.max()
        )
        found = boundary_metrics(
            depth_or_disparity_edges(inside_hw) & known_hw,
            depth_or_disparity_edges(true_hw) & known_hw,
        )
        return cls(
            accuracy_px=found.near_accuracy_px,
            completeness_px=found.completeness_px,
            precision=found.precision,
            recall=found.recall,
            f1=found.f1,
            normal_deg=_normal_angle_deg(inside_hw, true_hw, known_hw, truth.camera),
        )


def _normal_angle_deg(
    depth_hw: Doubles, true_hw: Doubles, known_hw: BoolMap, camera: Camera | None
) -> float:
    if camera is None or not known_hw.any():
        return math.nan
    return mean_normal_angle_deg(camera.unproject(depth_hw), camera.unproject(true_hw), known_hw)


def _fill(values_hw: Doubles, known_hw: BoolMap) -> Doubles:
    """Return the values with the nearest known one wherever none is known."""
    from scipy.ndimage import distance_transform_edt

    if known_hw.all():
        return values_hw
    nearest = distance_transform_edt(~known_hw, return_distances=False, return_indices=True)
    filled_hw: Doubles = values_hw[tuple(nearest)]
    return filled_hw


def _away_from_holes(known_hw: BoolMap) -> BoolMap:
    """Return the known pixels with no hole within two pixels; the frame's border is no hole."""
    from scipy.ndimage import binary_erosion

    away_hw: BoolMap = binary_erosion(known_hw, iterations=HOLE_MARGIN_PX, border_value=1)
    return away_hw
