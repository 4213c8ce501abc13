"""The truth of one image: the value that every layout is read into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from redepth.errors import ConfigError
from redepth.types import FloatMap

BoolMap = npt.NDArray[np.bool_]
Size = tuple[int, int]
LARGEST_ASPECT_ERROR = 0.02  # ScanNet's colour and depth differ by 0.4 %


class TruthKind(StrEnum):
    """What a truth's numbers are: distance along the optical axis, or disparity of a stereo pair.

    No layout that is read here holds distances along rays.
    """

    DEPTH = "z-depth"
    DISPARITY = "disparity"


@dataclass(frozen=True, slots=True)
class Pinhole:
    """A camera in pixels of the truth's grid, whose pixel centres have whole coordinates."""

    focal_x_px: float
    focal_y_px: float
    centre_x_px: float
    centre_y_px: float

    def unproject(self, depth_hw: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return the points seen at a z-depth, float64 [H, W, 3], in its unit."""
        rows, columns = np.mgrid[: depth_hw.shape[0], : depth_hw.shape[1]].astype(np.float64)
        x = (columns - self.centre_x_px) / self.focal_x_px
        y = (rows - self.centre_y_px) / self.focal_y_px
        return np.stack((x * depth_hw, y * depth_hw, depth_hw), axis=-1).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is known of one image, on the grid it was measured on.

    Attributes:
        map_hw: float32 [H, W] > 0; NaN where nothing is known.
        mask_hw: bool [H, W], the pixels that the protocol scores: known, within crop and cap.
        kind: what the numbers are.
        unit: "m", "px", or what the layout has.
        lowest, highest: what an aligned prediction is clamped to before it is scored.
        has_edges: whether it is dense and clean enough to measure depth edges and normals.
        camera: known for some layouts; normals need it.
    """

    map_hw: FloatMap
    mask_hw: BoolMap = field(repr=False)
    kind: TruthKind = TruthKind.DEPTH
    unit: str = "m"
    lowest: float = 0.0
    highest: float = np.inf
    has_edges: bool = False
    camera: Pinhole | None = None

    def __post_init__(self) -> None:
        if self.map_hw.dtype != np.float32 or self.map_hw.ndim != 2:
            raise ValueError(f"expected float32 [H, W], got {self.map_hw.dtype}")
        if self.mask_hw.shape != self.map_hw.shape or self.mask_hw.dtype != np.bool_:
            raise ValueError(f"mask is {self.mask_hw.shape}, map {self.map_hw.shape}")

    @property
    def size_hw(self) -> Size:
        return self.map_hw.shape[0], self.map_hw.shape[1]


def make_truth(
    values_hw: npt.NDArray[np.floating],
    known_hw: BoolMap | None = None,
    *,
    kind: TruthKind = TruthKind.DEPTH,
    unit: str = "m",
    within: tuple[float, float] = (0.0, np.inf),
    crop: tuple[slice, slice] | None = None,
    has_edges: bool = False,
    camera: Pinhole | None = None,
) -> Truth:
    """Build a truth from raw values: known where finite and positive, scored within crop and cap.

    Args:
        known_hw: where the layout's own mask says that the value counts.
        within: values are scored strictly between these two; predictions are clamped to them.
        crop: rows and columns that are scored; all of them if None.
    """
    known = np.isfinite(values_hw) & (values_hw > 0)
    if known_hw is not None:
        known &= known_hw
    map_hw = np.where(known, values_hw, np.nan).astype(np.float32)
    lowest, highest = within
    mask_hw = known & (map_hw > lowest) & (map_hw < highest)
    if crop is not None:
        inside = np.zeros_like(mask_hw)
        inside[crop] = True
        mask_hw &= inside
    return Truth(map_hw, mask_hw, kind, unit, lowest, highest, has_edges, camera)


@dataclass(frozen=True, slots=True)
class TruthFile:
    """Where the truth of one image lies, and how it is read.

    Attributes:
        name: the image's path as the layout implies it, without suffix; pairs it with a label.
        path: the file.
        load: reads it, given the photograph's (height, width), which headerless files need.
    """

    name: str
    path: Path
    load: Callable[[Path, Size], Truth] = field(repr=False)

    def read(self, image_hw: Size) -> Truth:
        """Read the truth.

        Raises:
            ConfigError: not a file of this layout, or of another shape than the photograph.
        """
        truth = self.load(self.path, image_hw)
        height, width = truth.size_hw
        aspect = (width / height) / (image_hw[1] / image_hw[0])
        if abs(aspect - 1.0) > LARGEST_ASPECT_ERROR:
            raise ConfigError(
                f"{self.path} is {width} x {height}, its photograph {image_hw[1]} x {image_hw[0]}: "
                "they do not show the same frame; a truth belongs to the whole photograph"
            )
        return truth
