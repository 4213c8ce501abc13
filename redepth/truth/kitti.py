"""KITTI: accumulated laser depth as 16-bit PNG, metres times 256, 0 where unknown."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from redepth.truth.files import find_files, name_below, read_png16
from redepth.truth.truth import Size, Truth, TruthFile, make_truth

UNITS_PER_M = 256.0
LOWEST_M, HIGHEST_M = 1e-3, 80.0
# Shares of height and width: (top, bottom), (left, right).
GARG_CROP = (0.40810811, 0.99189189), (0.03594771, 0.96405229)
EIGEN_CROP = (0.3324324, 0.91351351), (0.0359477, 0.96405229)
Crop = tuple[tuple[float, float], tuple[float, float]]

PATTERNS = ("**/groundtruth/image_0?/*.png", "**/*depth*.png", "**/*.png")
EXPECTED = "16-bit depth PNGs (metres * 256), as .../proj_depth/groundtruth/image_02/*.png"


def find_kitti(root: Path) -> list[TruthFile]:
    """Return KITTI's truths; pixels outside Garg's crop and from 80 m on are not scored."""
    return _find(root, GARG_CROP)


def find_kitti_eigen_crop(root: Path) -> list[TruthFile]:
    """Return KITTI's truths with the crop of Eigen et al. instead."""
    return _find(root, EIGEN_CROP)


def _find(root: Path, crop: Crop) -> list[TruthFile]:
    load = partial(read_kitti, crop=crop)
    files = find_files(root, PATTERNS, EXPECTED)
    return [TruthFile(name_below(root, path), path, load) for path in files]


def read_kitti(path: Path, image_hw: Size, crop: Crop = GARG_CROP) -> Truth:
    """Read one depth PNG, metres.

    Source: Eigen et al. 2014, Garg et al. 2016 (crops, cap).
    """
    depth_hw = read_png16(path) / UNITS_PER_M
    (top, bottom), (left, right) = crop
    height, width = depth_hw.shape
    inside = (
        slice(int(top * height), int(bottom * height)),
        slice(int(left * width), int(right * width)),
    )
    return make_truth(depth_hw, within=(LOWEST_M, HIGHEST_M), crop=inside)
