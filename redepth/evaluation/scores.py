"""Score one map against one ground truth: align it, then measure it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from redepth.datasets.ground_truth import METRE, BoolMap, GroundTruth, GroundTruthKind, Size
from redepth.geometry.camera import Camera
from redepth.metrics.alignments import (
    Alignment,
    align_to_depth,
    align_to_disparity,
    check_alignment,
    default_alignment,
    disparity_alignment,
)
from redepth.metrics.boundaries import boundary_metrics, depth_or_disparity_edges
from redepth.metrics.depth import depth_metrics
from redepth.metrics.normals import mean_normal_angle_deg
from redepth.types import DepthKind, FloatMap

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]

HOLE_MARGIN_PX = 2  # what is invented in a hole shows this far beside it


@dataclass(frozen=True, slots=True)
class Scores:
    """How far an aligned map is from the ground truth; NaN for what it does not tell.

    Attributes:
        abs_rel, sq_rel, rmse, rmse_log, silog, log10, delta1, delta2, delta3, delta_1_05: see
            `DepthMetrics`. For a disparity they are those of disparity.
        edge_accuracy_px, edge_completeness_px: DBE_acc and DBE_comp; see `BoundaryMetrics`.
        edge_precision, edge_recall, edge_f1: see `BoundaryMetrics`.
        normal_deg: mean angle between the normals; needs a ground truth with a camera.
        share_scored: scored pixels over those that the protocol asks for. Below 1, some of the
            aligned map is at infinity or behind the camera and no score counts it.
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


@dataclass(frozen=True, slots=True)
class EdgeProtocol:
    """How depth edges and normals, which look at neighbouring pixels, are compared.

    Attributes:
        edges: depth [H, W] -> bool [H, W].
        repairs: whether holes of both maps are filled with the nearest value, what lies outside of
            the true range is clipped, and pixels beside a hole do not count. Exact depth has no
            holes and needs no repair.
        near_only: whether DBE acc leaves out edges without a true one within 10 px.
    """

    edges: Callable[[Floats], BoolMap]
    repairs: bool
    near_only: bool

    def maps(self, aligned_hw: Doubles, truth: GroundTruth) -> tuple[Floats, Floats, BoolMap]:
        """Return both maps as edges are looked for in them, and the pixels that count."""
        if not self.repairs:
            return aligned_hw, truth.map_hw, truth.mask_hw
        true_hw = _fill(truth.map_hw.astype(np.float64), truth.mask_hw)
        filled_hw = _fill(aligned_hw, np.isfinite(aligned_hw))
        inside_hw = np.clip(filled_hw, true_hw.min(), true_hw.max())
        return inside_hw, true_hw, _away_from_holes(truth.mask_hw)


PUBLISHED = EdgeProtocol(depth_or_disparity_edges, repairs=True, near_only=True)


def larger_is_better(metric: str) -> bool:
    """Return whether a metric should grow."""
    return TITLES[metric].endswith("↑")


def alignment_for(asked: Alignment | None, kind: DepthKind, truth: GroundTruth) -> Alignment:
    """Return the alignment that a map of a kind gets.

    Args:
        asked: None for the default: what the kind leaves free. A metric map gets a scale where
            ground truth has another unit, and any map scale and shift where it is a disparity.

    Raises:
        ConfigError: the alignment does not fit the map's kind or the ground truth's.
    """
    is_disparity = truth.kind is GroundTruthKind.DISPARITY
    if asked is None:
        if is_disparity:
            return Alignment.SCALE_SHIFT_DISPARITY
        default = default_alignment(kind)
        return Alignment.SCALE if default is Alignment.NONE and truth.unit != METRE else default
    if is_disparity:
        return disparity_alignment(asked)
    check_alignment(asked, kind)
    return asked


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


def score_map(
    map_hw: FloatMap, kind: DepthKind, truth: GroundTruth, alignment: Alignment
) -> Scores:
    """Align a map and score it; raises as `align_map` and `score_depth` do."""
    return score_depth(align_map(map_hw, kind, truth, alignment), truth)


def score_depth(
    aligned_hw: Doubles, truth: GroundTruth, protocol: EdgeProtocol = PUBLISHED
) -> Scores:
    """Score an aligned map (see `align_map`) where the ground truth's mask asks for it.

    Raises:
        ValueError: no pixel to compare.
    """
    scored_hw = truth.mask_hw & np.isfinite(aligned_hw) & (aligned_hw > 0)
    depth = depth_metrics(aligned_hw, truth.map_hw, scored_hw)
    edges = _EdgeScores.of(aligned_hw, truth, protocol)
    return Scores(
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
class _EdgeScores:
    """The scores that look at neighbouring pixels."""

    accuracy_px: float = math.nan
    completeness_px: float = math.nan
    precision: float = math.nan
    recall: float = math.nan
    f1: float = math.nan
    normal_deg: float = math.nan

    @classmethod
    def of(cls, aligned_hw: Doubles, truth: GroundTruth, protocol: EdgeProtocol) -> _EdgeScores:
        if not truth.has_edges:
            return cls()
        depth_hw, true_hw, counted_hw = protocol.maps(aligned_hw, truth)
        found = boundary_metrics(
            protocol.edges(depth_hw) & counted_hw, protocol.edges(true_hw) & counted_hw
        )
        near, every = found.near_accuracy_px, found.accuracy_px
        return cls(
            accuracy_px=near if protocol.near_only else every,
            completeness_px=found.completeness_px,
            precision=found.precision,
            recall=found.recall,
            f1=found.f1,
            normal_deg=_normal_angle_deg(depth_hw, true_hw, counted_hw, truth.camera),
        )


def _normal_angle_deg(
    depth_hw: Floats, true_hw: Floats, known_hw: BoolMap, camera: Camera | None
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
