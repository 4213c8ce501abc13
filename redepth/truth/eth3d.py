"""ETH3D: laser depth as headerless float32, under the photograph's own file name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redepth.errors import ConfigError
from redepth.truth.files import find_files, name_below
from redepth.truth.truth import Size, Truth, TruthFile, make_truth

HIGHEST_M = 72.0
FULL_SIZE_HW = 4032, 6048
PATTERNS = ("**/ground_truth_depth/**/*.*", "**/*.JPG", "**/*.jpg", "**/*.png")
EXPECTED = "raw float32 files, as */ground_truth_depth/dslr_images/DSC_0259.JPG"


def find_eth3d(root: Path) -> list[TruthFile]:
    """Return ETH3D's truths; from 72 m on they are not scored."""
    files = find_files(root, PATTERNS, EXPECTED)
    return [TruthFile(name_below(root, path), path, read_eth3d) for path in files]


def read_eth3d(path: Path, image_hw: Size) -> Truth:
    """Read one raw depth, metres, infinite where unknown; it has the photograph's size.

    A photograph that was made smaller is told by the benchmark's own size, 6048 x 4032.

    Source: Schoeps et al. 2017; the cap is that of Ranftl et al. 2020.
    """
    num_bytes = path.stat().st_size
    for height, width in (image_hw, FULL_SIZE_HW):
        if num_bytes == 4 * height * width:
            depth_hw = np.fromfile(path, dtype="<f4").reshape(height, width)
            return make_truth(depth_hw, within=(0.0, HIGHEST_M))
    raise ConfigError(
        f"{path} has {num_bytes} bytes: expected raw float32 of its photograph's size "
        f"{image_hw[1]} x {image_hw[0]} or of 6048 x 4032. A photograph has lain there instead?"
    )
