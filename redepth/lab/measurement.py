"""What was measured of one scene."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from redepth.confidence.cues import LabelMaps, cues_of
from redepth.evaluation.scores import Scores
from redepth.lab.experiments import Condition, Subject
from redepth.lab.scoring import Region
from redepth.metrics.depth import error_factor, relative_error
from redepth.types import DepthKind, FloatMap, RefinedDepth

Floats = npt.NDArray[np.float32]
LAB_CUES = ("spread", "slope", "drift")


@dataclass(frozen=True, slots=True, eq=False)
class PixelCues:
    """The pixels of an ensemble's map: cues to its error, and the error.

    Attributes:
        cues: float32 [N] >= 0 each, larger is less sure.
        error_n: float32 [N], |d - t| / t of the aligned depth.
        factor_n: float32 [N] >= 1, max(d / t, t / d); infinite where d is not positive.
    """

    cues: dict[str, Floats]
    error_n: Floats
    factor_n: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """One scene under its conditions.

    Attributes:
        subject: which scene, which conditions.
        caption: what the scene's caption says.
        scores: of each condition and region; a condition that failed is not there.
        depths: aligned depth of COARSE and FULL over the whole picture, for pictures.
        pixels: of the ensemble; None without one.
        seconds: wall time.
    """

    subject: Subject
    caption: str
    scores: dict[Condition, dict[Region, Scores]]
    depths: dict[Condition, FloatMap] = field(default_factory=dict, repr=False)
    pixels: PixelCues | None = None
    seconds: float = 0.0


def pixel_cues(
    refined: RefinedDepth,
    coarse_hw: FloatMap,
    depth_hw: npt.NDArray[np.float64],
    truth_hw: FloatMap,
) -> PixelCues:
    """Gather cues and errors of an ensemble's map, all pixels.

    Args:
        depth_hw: what the refined map means in the scene's unit, after alignment.
    """
    maps = {"spread": refined.spread_hw, "refined": refined.map_hw, "coarse": coarse_hw}
    cues = cues_of(LabelMaps(maps, DepthKind.AFFINE_DISPARITY), LAB_CUES)
    return PixelCues(
        cues={cue: _flat(values_hw) for cue, values_hw in cues.items()},
        error_n=_flat(relative_error(depth_hw, truth_hw)),
        factor_n=_flat(error_factor(depth_hw, truth_hw)),
    )


def _flat(map_hw: npt.NDArray[np.floating]) -> Floats:
    return np.asarray(map_hw, dtype=np.float32).ravel()
