"""ETH3D: laser depth as headerless float32, under the photograph's own file name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redepth.datasets.depth_file import by_pattern
from redepth.datasets.ground_truth import DepthLimits, GroundTruth, Size, make_ground_truth
from redepth.datasets.part import DepthDataset
from redepth.errors import ConfigError
from redepth.images.data_files import read_file

LIMITS = DepthLimits(0.0, 72.0)
FULL_SIZE_HW = 4032, 6048
PATTERNS = ("**/ground_truth_depth/**/*.*", "**/*.JPG", "**/*.jpg", "**/*.png")


def read_eth3d(path: Path, image_hw: Size) -> GroundTruth:
    """Read one raw depth, metres, infinite where unknown; it has the photograph's size.

    If the photograph was resized, the size is the benchmark's own, 6048 x 4032.

    Source: Schoeps et al. 2017; the cap is that of Ranftl et al. 2020.
    """
    content = read_file(path)
    for height, width in (image_hw, FULL_SIZE_HW):
        if len(content) == 4 * height * width:
            depth_hw = np.frombuffer(content, dtype="<f4").reshape(height, width)
            return make_ground_truth(depth_hw, limits=LIMITS)
    raise ConfigError(
        f"{path} has {len(content)} bytes: expected raw float32 of its photograph's size "
        f"{image_hw[1]} x {image_hw[0]} or of 6048 x 4032. Is it a photograph?"
    )


ETH3D = DepthDataset(
    "eth3d",
    files="`**/ground_truth_depth/**/*.JPG`: raw float32 under the photograph's name",
    list_files=by_pattern(read_eth3d, *PATTERNS),
    read=read_eth3d,
    photographs=("**/images/**/*.JPG", "**/*.JPG"),
    scored="below 72 m",
)
