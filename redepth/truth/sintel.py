"""MPI Sintel: rendered depth as .dpt."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redepth.errors import ConfigError
from redepth.images.data_files import read_file
from redepth.truth.files import find_files, name_below
from redepth.truth.truth import Size, Truth, TruthFile, make_truth

TAG = 202021.25  # "PIEH" read as a float
HEADER_BYTES = 12
HIGHEST_M = 72.0


def find_sintel(root: Path) -> list[TruthFile]:
    """Return Sintel's truths; from 72 m on they are not scored."""
    files = find_files(root, ("**/*.dpt",), "depth/<sequence>/frame_*.dpt")
    return [TruthFile(name_below(root, path), path, read_dpt) for path in files]


def read_dpt(path: Path, image_hw: Size) -> Truth:
    """Read one .dpt, metres: tag float32, width and height int32, then float32 row by row.

    Source: Butler et al. 2012; the cap is that of Ranftl et al. 2020.
    """
    content = read_file(path)
    if len(content) < HEADER_BYTES or np.frombuffer(content, "<f4", 1)[0] != TAG:
        raise ConfigError(f"{path} is no .dpt of Sintel: it does not begin with {TAG}")
    width, height = (int(side) for side in np.frombuffer(content, "<i4", 2, offset=4))
    if len(content) != HEADER_BYTES + 4 * width * height:
        raise ConfigError(f"{path}: {width} x {height} in its header, {len(content)} bytes in all")
    depth_hw = np.frombuffer(content, "<f4", offset=HEADER_BYTES).reshape(height, width)
    return make_truth(depth_hw, within=(0.0, HIGHEST_M), has_edges=True)
