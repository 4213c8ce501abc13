"""Virtual KITTI 2: rendered drives, as published.

    Scene01/15-deg-left/frames/rgb/Camera_0/rgb_00001.jpg
    Scene01/15-deg-left/frames/depth/Camera_0/depth_00001.png

Depth is along the optical axis, 16 bit, in centimetres; the sky is 65535.

Source: Cabon et al. 2020. Depth from 80 m on is left out, as Marigold does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redepth.datasets.depth_file import by_pattern
from redepth.datasets.files import read_png16, require_same_size
from redepth.datasets.ground_truth import DepthLimits, GroundTruth, Size, make_ground_truth
from redepth.datasets.part import DepthDataset

LIMITS = DepthLimits(0.0, 80.0)
UNITS_PER_M = np.float32(100.0)
SKY = 65535
DEPTH = "Scene*/*/frames/depth/Camera_*/depth_*.png"
PHOTOGRAPHS = "Scene*/*/frames/rgb/Camera_*/rgb_*.jpg"


def read_virtual_kitti(path: Path, image_hw: Size) -> GroundTruth:
    """Read one frame, metres; the sky has no depth."""
    depth_cm_hw = read_png16(path)
    require_same_size(path, depth_cm_hw.shape, image_hw)
    depth_hw = depth_cm_hw.astype(np.float32) / UNITS_PER_M
    return make_ground_truth(depth_hw, depth_cm_hw != SKY, limits=LIMITS, has_edges=True)


def photograph_of(depth: str) -> str:
    """Return where the photograph of a depth file lies."""
    folder, _, name = depth.rpartition("/")
    number = name.removeprefix("depth_").removesuffix(".png")
    return f"{folder.replace('/frames/depth/', '/frames/rgb/')}/rgb_{number}.jpg"


VIRTUAL_KITTI_2 = DepthDataset(
    "virtual-kitti-2",
    files=f"`{DEPTH}`, 16-bit, cm",
    list_files=by_pattern(read_virtual_kitti, DEPTH, photograph_of=photograph_of),
    read=read_virtual_kitti,
    photographs=(PHOTOGRAPHS,),
    scored="below 80 m",
    has_edges=True,
    is_complete=True,
)
