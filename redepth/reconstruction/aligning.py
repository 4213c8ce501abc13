"""A label brought to the sparse points of its picture: scale and shift that outliers do not move.

    disparity         1 / z = scale * label + shift
    depth, metric         z = scale * label + shift     (metric: shift is 0 unless it is asked for)

Start: Siegel's repeated medians, which stand until half of the points are wrong (of a scale alone
the median ratio). Then least squares with Huber's loss over the inliers, three times: the points
whose aligned depth is within `tolerance` of their own. Residuals of a disparity are inverse depths,
those of a depth are shares of the point's depth.

Source: Siegel 1982, "Robust regression using repeated medians"; Huber 1964.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from redepth.geometry.alignment import Affine
from redepth.geometry.camera import Doubles
from redepth.reconstruction.model import SeenPoints
from redepth.types import DepthKind, FloatMap

_START_POINTS = 500  # repeated medians compare all pairs
_ROUNDS = 3
_MAD_TO_SIGMA = 1.4826
# The standard error of a scale, as a share of it, above which points do not tell scale from shift.
_UNSURE_SCALE = 0.1

BoolArray = npt.NDArray[np.bool_]


class AlignmentOutcome(StrEnum):
    """Whether a label could be brought to its points."""

    ALIGNED = "aligned"
    UNALIGNED = "unaligned"


@dataclass(frozen=True, slots=True)
class AlignmentRules:
    """What is asked of an alignment.

    Attributes:
        min_points: fewer are too few.
        min_inlier_share: of the points, those within `tolerance`; fewer are too few.
        tolerance: how far the aligned depth may be from a point's, as a share of it.
        metric_shift: whether a metric label may be shifted too.
    """

    min_points: int = 20
    min_inlier_share: float = 0.5
    tolerance: float = 0.1
    metric_shift: bool = False


@dataclass(frozen=True, slots=True)
class SparseAlignment:
    """How a label was brought to the points of its picture, or why it was not.

    Attributes:
        reason: why it is unaligned, in words; None if it is aligned.
        scale, shift: see the formulas of the module; None where there is no fit at all.
        num_points: points that the picture sees where the label has a value.
        inlier_share: of these, those whose aligned depth is within the tolerance.
        residual: median over the inliers of |aligned depth / the point's depth - 1|.
    """

    outcome: AlignmentOutcome
    reason: str | None
    scale: float | None
    shift: float | None
    num_points: int
    num_inliers: int = 0
    inlier_share: float = 0.0
    residual: float | None = None

    @property
    def is_aligned(self) -> bool:
        return self.outcome is AlignmentOutcome.ALIGNED


def unaligned(reason: str, num_points: int = 0) -> SparseAlignment:
    """Return the outcome of a label that there is no fit for."""
    return SparseAlignment(AlignmentOutcome.UNALIGNED, reason, None, None, num_points)


def align_to_points(
    label_hw: FloatMap, kind: DepthKind, seen: SeenPoints, rules: AlignmentRules
) -> SparseAlignment:
    """Fit a label's scale and shift to sparse points; too few, or too few inliers, is an outcome.

    Args:
        label_hw: float32 [H, W] of the whole picture, NaN where invalid.
        seen: the points that the picture sees; each is compared with the pixel it lies in.
    """
    values_n = label_hw[seen.pixels((label_hw.shape[0], label_hw.shape[1]))].astype(np.float64)
    kept = np.isfinite(values_n)
    values_n, depth_n = values_n[kept], seen.depth_n[kept]
    if len(values_n) < rules.min_points:
        reason = f"it sees {len(values_n)} points, expected {rules.min_points} or more"
        return unaligned(reason, len(values_n))
    fit, inliers = _fit(values_n, depth_n, _RELATIONS[kind], kind.is_metric, rules)
    errors_n = _errors(fit, values_n, depth_n, _RELATIONS[kind])
    num_inliers, num_points = int(inliers.sum()), len(values_n)
    reason_or_none = _refusal(fit, values_n, depth_n, inliers, kind, rules)
    outcome = AlignmentOutcome.UNALIGNED if reason_or_none else AlignmentOutcome.ALIGNED
    residual = float(np.median(errors_n[inliers])) if num_inliers else None
    return SparseAlignment(
        outcome, reason_or_none, fit.scale, fit.shift, num_points, num_inliers,
        num_inliers / num_points, residual,
    )  # fmt: skip


def aligned_depth(label_hw: FloatMap, kind: DepthKind, alignment: SparseAlignment) -> FloatMap:
    """Return z-depth in the points' unit, float32 [H, W]; NaN where invalid or not above 0.

    A disparity that comes to 0 or less is farther than anything: NaN too.
    """
    assert alignment.scale is not None and alignment.shift is not None, "it has a fit"
    fit = Affine(alignment.scale, alignment.shift)
    depth_hw = _RELATIONS[kind].depth(fit.apply(label_hw))
    with np.errstate(invalid="ignore", over="ignore"):
        kept_hw = np.isfinite(depth_hw) & (depth_hw > 0)
        return np.where(kept_hw, depth_hw, np.nan).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Relation:
    """What of a depth a label is linear in.

    Attributes:
        target: of depth, what scale * label + shift is to be.
        depth: the other way; NaN where that is no depth.
        unit: of depth, what residuals of the target are counted in.
    """

    target: Callable[[Doubles], Doubles]
    depth: Callable[[Doubles], Doubles]
    unit: Callable[[Doubles], Doubles]


def _inverse(values: Doubles) -> Doubles:
    inverse = np.full_like(values, np.nan)
    np.divide(1.0, values, out=inverse, where=values > 0)
    return inverse


def _same(values: Doubles) -> Doubles:
    return values


_RELATIONS: Mapping[DepthKind, _Relation] = {
    DepthKind.AFFINE_DISPARITY: _Relation(_inverse, _inverse, np.ones_like),
    DepthKind.AFFINE_DEPTH: _Relation(_same, _same, _same),
    DepthKind.METRIC_DEPTH: _Relation(_same, _same, _same),
}


def _fit(
    values_n: Doubles, depth_n: Doubles, relation: _Relation, is_metric: bool, rules: AlignmentRules
) -> tuple[Affine, BoolArray]:
    """Return the fit, and the points that it rests on."""
    target_n, unit_n = relation.target(depth_n), relation.unit(depth_n)
    with_shift = rules.metric_shift or not is_metric
    fit = _start(values_n, target_n, with_shift)
    for _ in range(_ROUNDS):
        inliers = _errors(fit, values_n, depth_n, relation) <= rules.tolerance
        if inliers.sum() < rules.min_points:
            break
        fit = _refined(fit, values_n[inliers], target_n[inliers], unit_n[inliers], with_shift)
    return fit, _errors(fit, values_n, depth_n, relation) <= rules.tolerance


def _start(values_n: Doubles, target_n: Doubles, with_shift: bool) -> Affine:
    from scipy.stats import siegelslopes

    if not with_shift:
        above = values_n > 0
        return Affine(
            float(np.median(target_n[above] / values_n[above])) if above.any() else 0.0, 0.0
        )
    order = np.argsort(values_n, kind="stable")
    some = order[np.linspace(0, len(order) - 1, min(len(order), _START_POINTS)).astype(np.int64)]
    if np.ptp(values_n[some]) == 0:
        return Affine(0.0, float(np.median(target_n)))
    slope, intercept = siegelslopes(target_n[some], values_n[some])
    return Affine(float(slope), float(intercept))


def _refined(
    start: Affine, values_n: Doubles, target_n: Doubles, unit_n: Doubles, with_shift: bool
) -> Affine:
    """Minimise Huber's loss of the residuals, in units of their own spread."""
    from scipy.optimize import least_squares

    residuals_n = (start.apply(values_n) - target_n) / unit_n
    sigma = max(_MAD_TO_SIGMA * float(np.median(np.abs(residuals_n))), 1e-12 * np.ptp(target_n))
    if sigma == 0:
        return start
    columns = [values_n, np.ones_like(values_n)] if with_shift else [values_n]
    design = np.stack(columns, axis=1) / unit_n[:, None]
    # Columns of like size: a label's numbers may be of any.
    norms = np.linalg.norm(design, axis=0)
    norms[norms == 0] = 1.0
    design, goal_n = design / norms / sigma, target_n / unit_n / sigma
    first = np.array([start.scale, start.shift])[: len(columns)] * norms
    found = least_squares(
        lambda numbers: design @ numbers - goal_n, first, jac=lambda _: design, loss="huber",
        x_scale="jac",
    ).x / norms  # fmt: skip
    return Affine(float(found[0]), float(found[1]) if with_shift else 0.0)


def _errors(fit: Affine, values_n: Doubles, depth_n: Doubles, relation: _Relation) -> Doubles:
    """Return |aligned depth / depth - 1|; infinite where the aligned value is no depth."""
    aligned_n = relation.depth(fit.apply(values_n))
    errors_n = np.abs(aligned_n / depth_n - 1)
    return np.where(np.isfinite(errors_n) & (aligned_n > 0), errors_n, np.inf)


def _refusal(
    fit: Affine,
    values_n: Doubles,
    depth_n: Doubles,
    inliers: BoolArray,
    kind: DepthKind,
    rules: AlignmentRules,
) -> str | None:
    """Say why a fit is not to be used, None if it is."""
    share = float(inliers.mean())
    if not fit.scale > 0:
        return "its order of depth is not that of the points: the best scale is not above 0"
    if share < rules.min_inlier_share:
        return (
            f"{share:.0%} of {len(inliers)} points are within {rules.tolerance:.0%} of the aligned "
            f"depth, expected {rules.min_inlier_share:.0%} or more"
        )
    if (rules.metric_shift or not kind.is_metric) and (
        _scale_error(fit, values_n[inliers], depth_n[inliers], _RELATIONS[kind]) > _UNSURE_SCALE
    ):
        return "the points lie at too few depths to tell scale from shift"
    return None


def _scale_error(fit: Affine, values_n: Doubles, depth_n: Doubles, relation: _Relation) -> float:
    """Return the standard error of the scale as a share of it; infinite of a constant label."""
    residuals_n = fit.apply(values_n) - relation.target(depth_n)
    spread = float(np.sum((values_n - values_n.mean()) ** 2))
    sigma = math.sqrt(float(np.mean(residuals_n**2)))
    return sigma / math.sqrt(spread) / fit.scale if spread > 0 else math.inf
