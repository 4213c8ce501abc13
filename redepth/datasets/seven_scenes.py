"""7-Scenes: a depth camera's videos, as published.

    chess/seq-01/frame-000000.color.png
    chess/seq-01/frame-000000.depth.png

Depth is 16 bit, in millimetres, 65535 where it is unknown. It is not registered to the colour
camera: the two are some pixels apart, so that object borders cannot be measured.

Source: Shotton et al. 2013.
"""

from __future__ import annotations

from pathlib import Path

from redepth.datasets.depth_file import by_pattern
from redepth.datasets.files import read_png16
from redepth.datasets.ground_truth import DepthLimits, GroundTruth, Size, make_ground_truth
from redepth.datasets.part import DepthDataset

UNITS_PER_M = 1000.0
INVALID = 65535
LIMITS = DepthLimits(0.0, 10.0)


def read_seven_scenes(path: Path, image_hw: Size) -> GroundTruth:
    """Read one depth PNG, metres; 0 and 65535 are unknown, from 10 m on it is not scored."""
    depth_mm_hw = read_png16(path)
    return make_ground_truth(depth_mm_hw / UNITS_PER_M, depth_mm_hw != INVALID, limits=LIMITS)


SEVEN_SCENES = DepthDataset(
    "seven-scenes",
    files="`**/frame-*.depth.png`, 16-bit, mm",
    list_files=by_pattern(read_seven_scenes, "**/frame-*.depth.png", "**/*.depth.png"),
    read=read_seven_scenes,
    photographs=("**/*.color.png", "**/*.color.jpg"),
    scored="below 10 m",
)
