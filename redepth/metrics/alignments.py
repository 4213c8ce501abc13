"""From a predicted map to ground truth's own numbers: every alignment by its name.

A prediction is known up to what its kind leaves free; an alignment takes that from ground truth.
docs/evaluation.md has the formulas and says when to use which.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
import numpy.typing as npt

from redepth.errors import ConfigError
from redepth.geometry.alignment import Affine, align_disparity_then_depth, fit_affine
from redepth.types import DepthKind

FloatArray = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
BoolMap = npt.NDArray[np.bool_]

RANSAC_MAX_PIXELS = 20_000
RANSAC_MAX_TRIALS = 200
RANSAC_TOLERANCE = 0.05  # of the true 5 % - 95 % range
RANSAC_CONFIDENCE = 0.999


class Alignment(StrEnum):
    """How a prediction is aligned to ground truth before it is scored.

    NONE: not at all; for metric depth alone.
    SCALE: times the median of true depth / prediction.
    SCALE_SHIFT_DEPTH, SCALE_SHIFT_DISPARITY: least squares in that space.
    REDEPTH: least squares in disparity, inverted, least squares in depth.
    RANSAC: least squares over the pixels that agree, in the space of the prediction.
    """

    NONE = "none"
    SCALE = "scale"
    SCALE_SHIFT_DEPTH = "scale_shift_depth"
    SCALE_SHIFT_DISPARITY = "scale_shift_disparity"
    REDEPTH = "redepth"
    RANSAC = "ransac"


# How many numbers of an image each takes from its ground truth.
NUM_FITTED = {
    Alignment.NONE: 0,
    Alignment.SCALE: 1,
    Alignment.SCALE_SHIFT_DEPTH: 2,
    Alignment.SCALE_SHIFT_DISPARITY: 2,
    Alignment.REDEPTH: 4,
    Alignment.RANSAC: 2,
}

_DEFAULTS = {
    DepthKind.METRIC_DEPTH: Alignment.NONE,
    DepthKind.AFFINE_DEPTH: Alignment.SCALE_SHIFT_DEPTH,
    DepthKind.AFFINE_DISPARITY: Alignment.SCALE_SHIFT_DISPARITY,
}


def default_alignment(kind: DepthKind) -> Alignment:
    """Return what takes from ground truth that which a kind leaves free, and no more.

    None for metric depth; scale and shift for the others, in the space of the map.
    """
    return _DEFAULTS[kind]


def check_alignment(alignment: Alignment, kind: DepthKind) -> None:
    """Refuse what has no meaning.

    Raises:
        ConfigError: maps of this kind cannot be aligned so.
    """
    wrong = {
        Alignment.NONE: kind is not DepthKind.METRIC_DEPTH,
        Alignment.SCALE_SHIFT_DEPTH: kind is DepthKind.AFFINE_DISPARITY,
        Alignment.SCALE_SHIFT_DISPARITY: kind is DepthKind.AFFINE_DEPTH,
    }
    if wrong.get(alignment, False):
        fitting = [a.value for a in Alignment if a is not alignment and not wrong.get(a, False)]
        raise ConfigError(
            f"alignment {alignment} does not go with maps that are {kind}: choose one of "
            f"{', '.join(fitting)}"
        )


def align_to_depth(
    map_hw: FloatArray,
    kind: DepthKind,
    true_depth_hw: FloatArray,
    mask_hw: BoolMap,
    alignment: Alignment,
) -> Doubles:
    """Return the depth that a map means, in the true depth's unit, fitted over the mask.

    Returns:
        float64 [H, W]; infinite where the map says "at infinity or beyond". Not clamped.

    Raises:
        ConfigError: see `check_alignment`.
        ValueError: the mask is empty.
    """
    check_alignment(alignment, kind)
    true_hw = np.where(mask_hw, true_depth_hw, 1.0).astype(np.float64)
    if alignment is Alignment.NONE:
        return map_hw.astype(np.float64)
    if alignment is Alignment.SCALE:
        return _scaled(as_depth(map_hw, kind), true_hw, mask_hw)
    if alignment is Alignment.REDEPTH:
        return align_disparity_then_depth(as_disparity(map_hw, kind), true_hw, mask_hw).depth_hw
    fit = fit_ransac if alignment is Alignment.RANSAC else fit_affine
    if kind is DepthKind.AFFINE_DISPARITY or alignment is Alignment.SCALE_SHIFT_DISPARITY:
        disparity_hw = as_disparity(map_hw, kind)
        return _inverse(fit(disparity_hw, 1.0 / true_hw, mask_hw).apply(disparity_hw))
    depth_hw = map_hw.astype(np.float64)
    return fit(depth_hw, true_hw, mask_hw).apply(depth_hw)


def disparity_alignment(alignment: Alignment) -> Alignment:
    """Return the alignment that is used for a true disparity of unknown offset.

    The two-step one ends after its first step. Depth is not known, so that no other is left but
    the robust one.

    Raises:
        ConfigError: the alignment needs depth.
    """
    if alignment is Alignment.REDEPTH:
        return Alignment.SCALE_SHIFT_DISPARITY
    if alignment in (Alignment.SCALE_SHIFT_DISPARITY, Alignment.RANSAC):
        return alignment
    raise ConfigError(
        f"alignment {alignment} needs depth, and this ground truth is a disparity without "
        "calibration: choose redepth, scale_shift_disparity or ransac"
    )


def align_to_disparity(
    map_hw: FloatArray,
    kind: DepthKind,
    true_disparity_hw: FloatArray,
    mask_hw: BoolMap,
    alignment: Alignment,
) -> Doubles:
    """Return the disparity that a map means, in the true one's unit, fitted over the mask.

    Raises:
        ConfigError: see `disparity_alignment`.
        ValueError: the mask is empty.
    """
    disparity_hw = as_disparity(map_hw, kind)
    fit = fit_ransac if disparity_alignment(alignment) is Alignment.RANSAC else fit_affine
    true_hw = np.where(mask_hw, true_disparity_hw, 0.0).astype(np.float64)
    return fit(disparity_hw, true_hw, mask_hw).apply(disparity_hw)


def as_disparity(map_hw: FloatArray, kind: DepthKind) -> Doubles:
    """Return a map as disparity; a depth is inverted where positive, else 0; NaN stays NaN.

    Inverting an affine-invariant depth presumes that its shift is 0.
    """
    values_hw = map_hw.astype(np.float64)
    if kind is DepthKind.AFFINE_DISPARITY:
        return values_hw
    disparity_hw = np.where(np.isnan(values_hw), np.nan, 0.0)
    np.divide(1.0, values_hw, out=disparity_hw, where=values_hw > 0)
    return disparity_hw


def as_depth(map_hw: FloatArray, kind: DepthKind) -> Doubles:
    """Return a map as depth; a disparity is inverted where positive, else infinite.

    Inverting an affine-invariant disparity presumes that its shift is 0.
    """
    values_hw = map_hw.astype(np.float64)
    return _inverse(values_hw) if kind is DepthKind.AFFINE_DISPARITY else values_hw


def fit_ransac(source: FloatArray, target: FloatArray, mask: BoolMap) -> Affine:
    """Return the scale and shift that most pixels agree on, by least squares over those.

    A pixel agrees if it is within 5 % of the target's 5 % - 95 % range. Up to 20 000 pixels at
    even distances take part in the search; the same input gives the same answer.

    Raises:
        ValueError: no pixel counts.
    """
    from skimage.measure import ransac

    x = np.asarray(source[mask], dtype=np.float64)
    y = np.asarray(target[mask], dtype=np.float64)
    if x.size < 2:
        raise ValueError("no two pixels to align over: the mask is empty")
    low, high = np.quantile(y, (0.05, 0.95))
    tolerance = RANSAC_TOLERANCE * float(high - low)
    if tolerance <= 0.0:
        return fit_affine(x, y)
    step = -(-x.size // RANSAC_MAX_PIXELS)
    model, _ = ransac(
        (x[::step], y[::step]),
        _AffineModel,
        min_samples=2,
        residual_threshold=tolerance,
        max_trials=RANSAC_MAX_TRIALS,
        stop_probability=RANSAC_CONFIDENCE,
        rng=0,
    )
    agree = model.residuals(x, y) < tolerance
    return fit_affine(x[agree], y[agree])


@dataclass(frozen=True, slots=True)
class _AffineModel:
    """What skimage's search asks of a model."""

    affine: Affine

    @classmethod
    def from_estimate(cls, source: Doubles, target: Doubles) -> Self:
        return cls(fit_affine(source, target))

    def residuals(self, source: Doubles, target: Doubles) -> Doubles:
        return np.abs(self.affine.apply(source) - target)


def _scaled(depth_hw: Doubles, true_hw: Doubles, mask_hw: BoolMap) -> Doubles:
    """Return a depth times the median of true depth / depth, over pixels where it is positive."""
    usable = mask_hw & np.isfinite(depth_hw) & (depth_hw > 0)
    if not usable.any():
        raise ValueError("no pixel to align over: the mask is empty, or no depth is positive")
    return depth_hw * float(np.median(true_hw[usable] / depth_hw[usable]))


def _inverse(disparity_hw: Doubles) -> Doubles:
    """Return 1 / disparity where it is positive, infinity elsewhere."""
    depth_hw = np.full_like(disparity_hw, np.inf)
    np.divide(1.0, disparity_hw, out=depth_hw, where=disparity_hw > 0)
    return depth_hw
