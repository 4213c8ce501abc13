"""Score a disparity against a scene's exact depth, by the rules of `redepth.evaluation`.

Every map is aligned to the exact depth by the protocol of Re-Depth Anything: least squares in
disparity to 1 / z, inverted, least squares in depth. A disparity is known up to scale and shift
only, so that four numbers of the true depth are given to every condition alike; an error that an
affine change of the disparity could fix does not count. It is fitted over the scored pixels.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from redepth.datasets.ground_truth import GroundTruth
from redepth.evaluation.scores import EdgeProtocol, Scores, score_depth
from redepth.geometry.camera import Camera, Orthographic
from redepth.metrics.alignments import Alignment, align_to_depth
from redepth.metrics.boundaries import depth_edges
from redepth.scenes.scene import Array, BoolMap, Scene
from redepth.types import DepthKind, FloatMap

MIN_REGION_PX = 16
EXACT_DEPTH = EdgeProtocol(depth_edges, repairs=False, near_only=False)


class Region(StrEnum):
    """Which pixels are scored: all of them, or those of the thing that the caption names."""

    WHOLE = "whole"
    OBJECT = "object"


def regions_of(scene: Scene) -> dict[Region, BoolMap]:
    """Return the pixels of each region that a scene has."""
    regions = {Region.WHOLE: np.ones_like(scene.mask_hw)}
    if scene.mask_hw.sum() >= MIN_REGION_PX:
        regions[Region.OBJECT] = scene.mask_hw
    return regions


def camera_of(scene: Scene) -> Camera:
    """Return the camera that sees a scene; reliefs are seen by parallel rays."""
    return Orthographic() if scene.camera is None else scene.camera


def score(disparity_hw: FloatMap | Array, scene: Scene, mask_hw: BoolMap) -> Scores:
    """Align a disparity to the exact depth over the mask and score it there."""
    truth = GroundTruth(scene.depth_hw, mask_hw, has_edges=True, camera=camera_of(scene))
    return score_depth(align(disparity_hw, scene, mask_hw), truth, EXACT_DEPTH)


def align(disparity_hw: FloatMap | Array, scene: Scene, mask_hw: BoolMap) -> Array:
    """Return the depth that a disparity means, in the scene's unit, aligned over the mask."""
    return align_to_depth(
        disparity_hw, DepthKind.AFFINE_DISPARITY, scene.depth_hw, mask_hw, Alignment.REDEPTH
    )
