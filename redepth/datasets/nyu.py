"""NYU Depth v2: registered depth as 16-bit PNG in millimetres, or the raw Kinect's PGM."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redepth.datasets.depth_file import by_pattern
from redepth.datasets.files import read_png16
from redepth.datasets.ground_truth import DepthLimits, GroundTruth, Size, make_ground_truth
from redepth.datasets.part import DepthDataset
from redepth.errors import ConfigError
from redepth.images.data_files import read_pixels

UNITS_PER_M = 1000.0
LIMITS = DepthLimits(1e-3, 10.0)
SIZE_HW = 480, 640
EIGEN_CROP = slice(45, 471), slice(41, 601)
RAW_INVALID = 2047
PATTERNS = ("**/*depth*.png", "**/*.png", "**/*depth*.pgm", "**/*.pgm")


def read_nyu(path: Path, image_hw: Size) -> GroundTruth:
    """Read one depth file, metres. Holes lie along object borders: it has no edges.

    Source: Silberman et al. 2012; the crop is that of Eigen et al. 2014.
    """
    raw = path.suffix.lower() == ".pgm"
    depth_hw = read_raw_depth(path) if raw else read_png16(path) / UNITS_PER_M
    require_nyu_size(path, depth_hw.shape)
    return make_ground_truth(depth_hw, limits=LIMITS, crop=EIGEN_CROP)


def require_nyu_size(path: Path, found_hw: tuple[int, ...]) -> None:
    """Refuse what Eigen's crop does not fit."""
    if found_hw != SIZE_HW:
        height, width = found_hw
        raise ConfigError(f"{path}: Eigen's crop is for 640 x 480, this is {width} x {height}")


def read_raw_depth(path: Path) -> np.ndarray:
    """Return the metres of a raw Kinect frame, 0 where it saw nothing; not registered to colour.

    z = 351.3 / (1092.5 - raw). The files have their bytes in the other order than PGM asks for.
    """
    image = read_pixels(path)
    if image.mode not in ("I", "I;16", "I;16B"):
        raise ConfigError(f"{path}: expected a 16-bit PGM, got {image.format} {image.mode}")
    raw = np.asarray(image).astype(np.uint16).byteswap().astype(np.float64)
    known = (raw < RAW_INVALID) & (raw < 1092.5)
    depth_hw = np.zeros_like(raw)
    np.divide(351.3, 1092.5 - raw, out=depth_hw, where=known)
    return depth_hw


NYU = DepthDataset(
    "nyu",
    files="`sync_depth_*.png` or `*_depth.png`, 16-bit, mm; or the raw sensor's `.pgm` (not "
    "registered to colour)",
    list_files=by_pattern(read_nyu, *PATTERNS),
    read=read_nyu,
    photographs=("**/*rgb*.jpg", "**/*rgb*.png", "**/*_colors.png", "**/*.jpg", "**/*.ppm"),
    scored="Eigen's crop, below 10 m",
)
