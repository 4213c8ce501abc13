"""Virtual KITTI 2: rendered drives, as published.

    Scene01/15-deg-left/frames/rgb/Camera_0/rgb_00001.jpg
    Scene01/15-deg-left/frames/depth/Camera_0/depth_00001.png

Depth is along the optical axis, 16 bit, in centimetres; the sky is 65535.

Source: Cabon et al. 2020. Depth beyond 80 m is left out, as Marigold does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redepth.errors import ConfigError
from redepth.images.data_files import read_pixels
from redepth.training.data import DepthExample, find_pairs, read_picture, require_size

FARTHEST_M = 80.0
_PATTERN = "Scene*/*/frames/rgb/Camera_*/rgb_*.jpg"
_CM = 100.0


class VirtualKitti2:
    """A folder of Virtual KITTI 2: a `DepthData`."""

    def __init__(self, folder: Path) -> None:
        """List the frames and look for their depth; raises ConfigError if there is none."""
        self._folder = folder
        self.images = find_pairs(folder, _PATTERN, _depth_of)

    def read(self, number: int) -> DepthExample:
        """Read a frame."""
        image = self.images[number]
        rgb_hw3 = read_picture(self._folder / image)
        path = self._folder / _depth_of(image)
        depth_cm_hw = np.asarray(read_pixels(path))
        if depth_cm_hw.dtype == np.uint8:
            raise ConfigError(f"{path} has 8 bits, expected centimetres of 16 bits")
        require_size(path, depth_cm_hw.shape, rgb_hw3.shape[:2])
        depth_hw = depth_cm_hw.astype(np.float32) / _CM
        return DepthExample(rgb_hw3, depth_hw, (depth_hw > 0) & (depth_hw <= FARTHEST_M))


def _depth_of(image: str) -> str:
    folder, _, name = image.rpartition("/")
    number = name.removeprefix("rgb_").removesuffix(".jpg")
    return f"{folder.replace('/frames/rgb/', '/frames/depth/')}/depth_{number}.png"
