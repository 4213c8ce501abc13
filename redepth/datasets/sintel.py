"""MPI Sintel: rendered depth as .dpt."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redepth.datasets.depth_file import by_pattern
from redepth.datasets.ground_truth import DepthLimits, GroundTruth, Size, make_ground_truth
from redepth.datasets.part import DepthDataset
from redepth.errors import ConfigError
from redepth.images.data_files import read_file

TAG = 202021.25  # "PIEH" read as a float
HEADER_BYTES = 12
LIMITS = DepthLimits(0.0, 72.0)


def read_dpt(path: Path, image_hw: Size) -> GroundTruth:
    """Read one .dpt, metres: tag float32, width and height int32, then float32 row by row.

    Source: Butler et al. 2012; the cap is that of Ranftl et al. 2020.
    """
    content = read_file(path)
    if len(content) < HEADER_BYTES or np.frombuffer(content, "<f4", 1)[0] != TAG:
        raise ConfigError(f"{path} is no .dpt of Sintel: it does not begin with {TAG}")
    width, height = (int(side) for side in np.frombuffer(content, "<i4", 2, offset=4))
    if min(width, height) < 1 or len(content) != HEADER_BYTES + 4 * width * height:
        raise ConfigError(f"{path}: {width} x {height} in its header, {len(content)} bytes in all")
    depth_hw = np.frombuffer(content, "<f4", offset=HEADER_BYTES).reshape(height, width)
    return make_ground_truth(depth_hw, limits=LIMITS, has_edges=True)


SINTEL = DepthDataset(
    "sintel",
    files="`**/*.dpt`",
    list_files=by_pattern(read_dpt, "**/*.dpt"),
    read=read_dpt,
    photographs=("**/final/**/*.png", "**/clean/**/*.png", "**/*.png"),
    scored="below 72 m",
    has_edges=True,
)
