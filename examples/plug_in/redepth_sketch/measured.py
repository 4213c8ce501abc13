"""A data set: photographs with measured depth, a PFM file in metres for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redepth.datasets.depth_file import by_pattern
from redepth.datasets.ground_truth import GroundTruth, Size, make_ground_truth
from redepth.datasets.part import DepthDataset
from redepth.images.data_files import read_pixels


def read_depth(path: Path, image_hw: Size) -> GroundTruth:
    """Read one file; depth that is not positive is unknown."""
    return make_ground_truth(np.asarray(read_pixels(path), dtype=np.float64))


MEASURED = DepthDataset(
    name="measured",
    files="`**/*.pfm`, metres",
    list_files=by_pattern(read_depth, "**/*.pfm"),
    read=read_depth,
    photographs=("**/*.png",),
)
