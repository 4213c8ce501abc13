"""How far a surface leans from the true one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
BoolMap = npt.NDArray[np.bool_]


def surface_normals(points_hw3: FloatArray) -> npt.NDArray[np.float64]:
    """Return unit normals of a surface of points by central differences, float64 [H, W, 3].

    One-sided at the border. The side they point to follows from the points' frame; it is the same
    for two surfaces seen on one grid. Where the surface is degenerate the normal is 0.
    """
    down_hw3, right_hw3 = np.gradient(np.asarray(points_hw3, dtype=np.float64), axis=(0, 1))
    normal_hw3 = np.cross(down_hw3, right_hw3)
    length_hw1 = np.linalg.norm(normal_hw3, axis=-1, keepdims=True)
    normals: npt.NDArray[np.float64] = normal_hw3 / np.maximum(length_hw1, np.finfo(float).tiny)
    return normals


def mean_normal_angle_deg(
    points_hw3: FloatArray, true_points_hw3: FloatArray, mask_hw: BoolMap
) -> float:
    """Return the mean angle between the normals of two surfaces where the mask is set, degrees.

    Both normals come from the same differences: exact points have an error of 0.

    Args:
        points_hw3, true_points_hw3: points of the two surfaces, a pixel each, in one frame.

    Raises:
        ValueError: the mask is empty.
    """
    if not mask_hw.any():
        raise ValueError("no pixel to compare: the mask is empty")
    first, second = surface_normals(points_hw3), surface_normals(true_points_hw3)
    # atan2 and not arccos, whose slope at 1 turns a rounding error of 1e-16 into 1e-8 rad.
    sine_hw = np.linalg.norm(np.cross(first, second), axis=-1)
    angle_hw = np.arctan2(sine_hw, (first * second).sum(axis=-1))
    return float(np.degrees(angle_hw[mask_hw].mean()))
