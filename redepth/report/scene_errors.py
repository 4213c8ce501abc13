"""How wrong a label of a rendered scene is, pixel by pixel: what no photograph can tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from redepth.geometry.alignment import align_disparity_then_depth, fit_affine
from redepth.scenes.scene import Array
from redepth.types import DepthKind, FloatMap


@dataclass(frozen=True, slots=True, eq=False)
class SceneErrors:
    """|d - t| / t of the aligned maps at the truth's size, float32 [H, W].

    NaN where a map has no value. A metric map is taken as it is.
    """

    coarse_hw: FloatMap
    refined_hw: FloatMap


def scene_errors(
    coarse_hw: FloatMap, refined_hw: FloatMap, kind: DepthKind, true_depth_hw: FloatMap
) -> SceneErrors:
    """Compare both maps of a label with the exact depth, each aligned to it by itself.

    A disparity is aligned to 1 / truth, inverted and aligned again; a depth by scale and shift;
    depth in metres is compared as it is. Maps of another size are resized to the truth's,
    bilinearly.
    """
    coarse, refined = (
        _relative_error(map_hw, kind, true_depth_hw) for map_hw in (coarse_hw, refined_hw)
    )
    return SceneErrors(coarse, refined)


def _relative_error(map_hw: FloatMap, kind: DepthKind, truth_hw: FloatMap) -> FloatMap:
    sized_hw = map_hw
    if map_hw.shape != truth_hw.shape:
        from skimage.transform import resize

        sized_hw = resize(map_hw, truth_hw.shape, order=1, anti_aliasing=False)
    depth_hw = _aligned(sized_hw, kind, truth_hw)
    error_hw: FloatMap = (np.abs(depth_hw - truth_hw) / truth_hw).astype(np.float32)
    return error_hw


def _aligned(map_hw: FloatMap, kind: DepthKind, truth_hw: FloatMap) -> Array:
    if kind.grows_towards_camera:
        everywhere = np.ones_like(truth_hw, dtype=bool)
        return align_disparity_then_depth(map_hw, truth_hw, everywhere).depth_hw
    if kind.is_metric:
        return map_hw.astype(np.float64)
    return fit_affine(map_hw, truth_hw).apply(map_hw)
