"""NYU Depth v2: registered depth as 16-bit PNG in millimetres, or the raw Kinect's PGM."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redepth.errors import ConfigError
from redepth.images.data_files import read_pixels
from redepth.truth.files import find_files, name_below, read_png16
from redepth.truth.truth import Size, Truth, TruthFile, make_truth

UNITS_PER_M = 1000.0
LOWEST_M, HIGHEST_M = 1e-3, 10.0
SIZE_HW = 480, 640
EIGEN_CROP = slice(45, 471), slice(41, 601)
RAW_INVALID = 2047
PATTERNS = ("**/*depth*.png", "**/*.png", "**/*depth*.pgm", "**/*.pgm")
EXPECTED = "16-bit depth PNGs in mm (sync_depth_00012.png) or the sensor's raw .pgm, 640 x 480"


def find_nyu(root: Path) -> list[TruthFile]:
    """Return NYU's truths; pixels outside Eigen's crop and from 10 m on are not scored."""
    files = find_files(root, PATTERNS, EXPECTED)
    return [TruthFile(name_below(root, path), path, read_nyu) for path in files]


def read_nyu(path: Path, image_hw: Size) -> Truth:
    """Read one depth file, metres. Holes lie along object borders: it has no edges.

    Source: Silberman et al. 2012; the crop is that of Eigen et al. 2014.
    """
    raw = path.suffix.lower() == ".pgm"
    depth_hw = read_raw_depth(path) if raw else read_png16(path) / UNITS_PER_M
    if depth_hw.shape != SIZE_HW:
        height, width = depth_hw.shape
        raise ConfigError(f"{path}: Eigen's crop is for 640 x 480, this is {width} x {height}")
    return make_truth(depth_hw, within=(LOWEST_M, HIGHEST_M), crop=EIGEN_CROP)


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
