"""KITTI: accumulated laser depth as 16-bit PNG, metres times 256, 0 where unknown."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from redepth.datasets.depth_file import by_pattern
from redepth.datasets.files import read_png16
from redepth.datasets.ground_truth import DepthLimits, GroundTruth, Size, make_ground_truth
from redepth.datasets.part import DepthDataset

UNITS_PER_M = 256.0
LIMITS = DepthLimits(1e-3, 80.0)
# Shares of height and width: (top, bottom), (left, right).
GARG_CROP = (0.40810811, 0.99189189), (0.03594771, 0.96405229)
EIGEN_CROP = (0.3324324, 0.91351351), (0.0359477, 0.96405229)
Crop = tuple[tuple[float, float], tuple[float, float]]

PATTERNS = ("**/groundtruth/image_0?/*.png", "**/*depth*.png", "**/*.png")


def read_kitti(path: Path, image_hw: Size, crop: Crop = GARG_CROP) -> GroundTruth:
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
    return make_ground_truth(depth_hw, limits=LIMITS, crop=inside)


def _cropped(name: str, crop: Crop, words: str) -> DepthDataset:
    read = partial(read_kitti, crop=crop)
    return DepthDataset(
        name,
        files="`**/groundtruth/image_0?/*.png`, 16-bit, metres * 256",
        list_files=by_pattern(read, *PATTERNS),
        read=read,
        photographs=("**/image_0?/data/*.png", "**/image/*.png"),
        scored=f"{words} crop, below 80 m",
    )


KITTI = _cropped("kitti", GARG_CROP, "Garg's")
KITTI_EIGEN_CROP = _cropped("kitti-eigen-crop", EIGEN_CROP, "Eigen's")
