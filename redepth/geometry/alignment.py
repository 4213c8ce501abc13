"""Least-squares scale and shift between maps that agree only up to an affine change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Affine:
    """The map x -> scale * x + shift."""

    scale: float
    shift: float

    def apply(self, values: FloatArray) -> npt.NDArray[np.float64]:
        return np.asarray(values, dtype=np.float64) * self.scale + self.shift


def fit_affine(source: FloatArray, target: FloatArray, mask: BoolArray | None = None) -> Affine:
    """Return the scale and shift that bring source closest to target: min |scale*s + shift - t|^2.

    A constant source has no scale: it is 0 and the shift is the target's mean. Computed in float64.

    Args:
        source, target: any equal shape, finite where the mask is set.
        mask: pixels that count; all of them if None.

    Raises:
        ValueError: no pixel counts, or the shapes differ.
    """
    if source.shape != target.shape:
        raise ValueError(f"cannot align {source.shape} to {target.shape}")
    x = np.array(source if mask is None else source[mask], dtype=np.float64).ravel()
    y = np.array(target if mask is None else target[mask], dtype=np.float64).ravel()
    if x.size == 0:
        raise ValueError("no pixel to align over: the mask is empty")
    x_mean, y_mean = float(x.mean()), float(y.mean())
    x -= x_mean
    y -= y_mean
    scale = _scale(np.einsum("n,n->", x, y) / x.size, np.einsum("n,n->", x, x) / x.size, x_mean)
    return Affine(scale, y_mean - scale * x_mean)


def align_all(sources_ehw: FloatArray, target_hw: FloatArray) -> npt.NDArray[np.float64]:
    """Bring each source to the target by its own `fit_affine`, float64 [E, H, W].

    The same numbers to their last bits in half the time: the target is looked at once.

    Args:
        sources_ehw: [E, H, W], finite.
        target_hw: [H, W], finite.
    """
    num, *size_hw = sources_ehw.shape
    # Sums by einsum and not by BLAS: its threads would show in the last bits of a label.
    aligned_en = np.array(sources_ehw, dtype=np.float64).reshape(num, -1)
    means_e = aligned_en.mean(axis=1)
    aligned_en -= means_e[:, None]
    target_mean = float(target_hw.mean())
    target_n = np.asarray(target_hw, dtype=np.float64).ravel() - target_mean
    covariances_e = np.einsum("en,n->e", aligned_en, target_n) / target_n.size
    variances_e = np.einsum("en,en->e", aligned_en, aligned_en) / target_n.size
    scales = map(_scale, covariances_e, variances_e, means_e)
    aligned_en *= np.array(list(scales))[:, None]
    aligned_en += target_mean
    return aligned_en.reshape(num, *size_hw)


def _scale(covariance: float, variance: float, mean: float) -> float:
    """Return the least-squares scale; 0 of a source that is constant up to rounding."""
    if variance <= np.finfo(np.float64).eps * max(mean**2, np.finfo(np.float64).tiny):
        return 0.0
    return float(covariance / variance)


@dataclass(frozen=True, slots=True, eq=False)
class TwoStepAlignment:
    """Predicted depth in the truth's unit, and the two fits it rests on."""

    disparity: Affine
    depth: Affine
    depth_hw: npt.NDArray[np.float64]


def align_disparity_then_depth(
    disparity_hw: FloatArray, true_depth_hw: FloatArray, mask_hw: BoolArray
) -> TwoStepAlignment:
    """Align a disparity to 1 / truth, invert it where positive (else 0), align again in depth.

    Source: the evaluation protocol of Re-Depth Anything.
    """
    inverse_truth = np.zeros_like(true_depth_hw, dtype=np.float64)
    np.divide(1.0, true_depth_hw, out=inverse_truth, where=mask_hw)
    first = fit_affine(disparity_hw, inverse_truth, mask_hw)
    aligned = first.apply(disparity_hw)
    depth_hw = np.zeros_like(aligned)
    np.divide(1.0, aligned, out=depth_hw, where=aligned > 0)
    second = fit_affine(depth_hw, true_depth_hw, mask_hw)
    return TwoStepAlignment(first, second, second.apply(depth_hw))
