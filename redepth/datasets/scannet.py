"""ScanNet: a depth camera's videos, 16-bit PNG in millimetres."""

from __future__ import annotations

from pathlib import Path

from redepth.datasets.depth_file import by_pattern
from redepth.datasets.files import read_png16
from redepth.datasets.ground_truth import DepthLimits, GroundTruth, Size, make_ground_truth
from redepth.datasets.part import DepthDataset

UNITS_PER_M = 1000.0
LIMITS = DepthLimits(0.0, 10.0)
PATTERNS = ("**/depth/*.png", "**/*depth*.png", "**/*.png")


def read_scannet(path: Path, image_hw: Size) -> GroundTruth:
    """Read one depth PNG, metres; 0 is unknown, from 10 m on it is not scored.

    Source: Dai et al. 2017.
    """
    return make_ground_truth(read_png16(path) / UNITS_PER_M, limits=LIMITS)


SCANNET = DepthDataset(
    "scannet",
    files="`**/depth/*.png`, 16-bit, mm",
    list_files=by_pattern(read_scannet, *PATTERNS),
    read=read_scannet,
    photographs=("**/color/*.jpg", "**/*.jpg"),
    scored="below 10 m",
)
