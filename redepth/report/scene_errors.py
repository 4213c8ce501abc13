"""How wrong a label of a rendered scene is, pixel by pixel: what no photograph can tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from redepth.metrics.alignments import Alignment, align_to_depth
from redepth.metrics.depth import relative_error
from redepth.types import DepthKind, FloatMap

_ALIGNMENTS = {
    DepthKind.AFFINE_DISPARITY: Alignment.REDEPTH,
    DepthKind.AFFINE_DEPTH: Alignment.SCALE_SHIFT_DEPTH,
    DepthKind.METRIC_DEPTH: Alignment.NONE,
}


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


def _relative_error(map_hw: FloatMap, kind: DepthKind, true_hw: FloatMap) -> FloatMap:
    sized_hw = map_hw
    if map_hw.shape != true_hw.shape:
        from skimage.transform import resize

        sized_hw = resize(map_hw, true_hw.shape, order=1, anti_aliasing=False)
    everywhere = np.ones_like(true_hw, dtype=bool)
    depth_hw = align_to_depth(sized_hw, kind, true_hw, everywhere, _ALIGNMENTS[kind])
    return relative_error(depth_hw, true_hw).astype(np.float32)
