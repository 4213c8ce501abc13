"""The ground truth of one photograph: the value that every data set's depth is read into."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from redepth.errors import ConfigError
from redepth.geometry.camera import Camera
from redepth.types import FloatMap

BoolMap = npt.NDArray[np.bool_]
Size = tuple[int, int]
METRE = "m"
LARGEST_ASPECT_ERROR = 0.02  # ScanNet's colour and depth differ by 0.4 %


class GroundTruthKind(StrEnum):
    """What the numbers are: distance along the optical axis, or disparity of a stereo pair.

    Distances along rays are converted when they are read.
    """

    DEPTH = "z-depth"
    DISPARITY = "disparity"


@dataclass(frozen=True, slots=True)
class DepthLimits:
    """The values that count, strictly between two limits; predictions are clamped to them."""

    lowest: float = 0.0
    highest: float = np.inf


EVERYTHING = DepthLimits()


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """What is known of one photograph, on the grid it was measured on.

    Attributes:
        map_hw: float32 [H, W] > 0; NaN where nothing is known.
        mask_hw: bool [H, W], the pixels that the data set's protocol scores: known, within its
            crop and its limits.
        kind: what the numbers are.
        unit: "m", "px", or what the data set has.
        limits: what an aligned prediction is clamped to before it is scored.
        has_edges: whether it is dense and clean enough to measure depth edges and normals.
        camera: known for some data sets; normals need it.
    """

    map_hw: FloatMap
    mask_hw: BoolMap = field(repr=False)
    kind: GroundTruthKind = GroundTruthKind.DEPTH
    unit: str = METRE
    limits: DepthLimits = EVERYTHING
    has_edges: bool = False
    camera: Camera | None = None

    def __post_init__(self) -> None:
        if self.map_hw.dtype != np.float32 or self.map_hw.ndim != 2:
            raise ValueError(f"expected float32 [H, W], got {self.map_hw.dtype}")
        if self.mask_hw.shape != self.map_hw.shape or self.mask_hw.dtype != np.bool_:
            raise ValueError(f"mask is {self.mask_hw.shape}, map {self.map_hw.shape}")

    @property
    def size_hw(self) -> Size:
        return self.map_hw.shape[0], self.map_hw.shape[1]

    @property
    def known_hw(self) -> BoolMap:
        """Return where the map has a value within the limits, whatever crop is scored."""
        known: BoolMap = within(self.map_hw, self.limits)
        return known

    def disparity_hw(self) -> FloatMap:
        """Return disparity up to scale, float32 [H, W]: 1 / depth, or the map if it is one."""
        if self.kind is GroundTruthKind.DISPARITY:
            return self.map_hw
        disparity_hw: FloatMap = np.float32(1.0) / self.map_hw
        return disparity_hw

    def depth_hw(self) -> FloatMap:
        """Return z-depth, float32 [H, W].

        Raises:
            ConfigError: it is a disparity whose offset is not known.
        """
        if self.kind is GroundTruthKind.DISPARITY:
            raise ConfigError(
                "this ground truth is a disparity without calibration, which has no depth: use "
                "coarse maps that are disparities as well"
            )
        return self.map_hw


def make_ground_truth(
    values_hw: npt.NDArray[np.floating],
    known_hw: BoolMap | None = None,
    *,
    kind: GroundTruthKind = GroundTruthKind.DEPTH,
    unit: str = METRE,
    limits: DepthLimits = EVERYTHING,
    crop: tuple[slice, slice] | None = None,
    has_edges: bool = False,
    camera: Camera | None = None,
) -> GroundTruth:
    """Build a ground truth from raw values: known where finite and positive.

    Args:
        known_hw: where the data set's own mask says that the value counts.
        limits: the values that are scored.
        crop: rows and columns that are scored; all of them if None.
    """
    known = np.isfinite(values_hw) & (values_hw > 0)
    if known_hw is not None:
        if known_hw.shape != known.shape:
            raise ValueError(f"the mask is {known_hw.shape}, the map {known.shape}")
        known &= known_hw
    with np.errstate(over="ignore"):  # beyond float32 it becomes infinite, which no limit allows
        map_hw = np.where(known, values_hw, np.nan).astype(np.float32)
    mask_hw = within(map_hw, limits)
    if crop is not None:
        inside = np.zeros_like(mask_hw)
        inside[crop] = True
        mask_hw &= inside
    return GroundTruth(map_hw, mask_hw, kind, unit, limits, has_edges, camera)


def within(map_hw: FloatMap, limits: DepthLimits) -> BoolMap:
    """Return where a map lies strictly within limits; NaN does not."""
    return (map_hw > limits.lowest) & (map_hw < limits.highest)


def require_same_frame(truth: GroundTruth, image_hw: Size, name: object) -> None:
    """Refuse a ground truth that cannot show what its photograph shows, by the aspect ratio.

    Raises:
        ConfigError: names the file.
    """
    height, width = truth.size_hw
    if not height or not width:
        raise ConfigError(f"{name} is {width} x {height}: it holds no pixel")
    aspect = (width / height) / (image_hw[1] / image_hw[0])
    if abs(aspect - 1.0) > LARGEST_ASPECT_ERROR:
        raise ConfigError(
            f"{name} is {width} x {height}, its photograph {image_hw[1]} x {image_hw[0]}: they do "
            "not show the same frame; ground truth belongs to the whole photograph"
        )
