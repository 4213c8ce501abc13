"""Hypersim: rendered interiors, as its authors' scripts unpack it.

    ai_001_001/images/scene_cam_00_final_preview/frame.0000.tonemap.jpg
    ai_001_001/images/scene_cam_00_geometry_hdf5/frame.0000.depth_meters.hdf5

Its depth is the length of the ray from the camera, in metres, NaN where the ray meets nothing.

Source: Roberts et al. 2021; the focal length is that of its cameras, 886.81 px at 1024 x 768.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redepth.errors import ConfigError
from redepth.images.data_files import read_hdf5
from redepth.training.data import DepthExample, find_pairs, read_picture, require_size
from redepth.types import FloatMap

FOCAL_LENGTH_PX = 886.81
FULL_WIDTH_PX = 1024
_PATTERN = "ai_*/images/scene_cam_*_final_preview/frame.*.tonemap.jpg"
_DATASET = "dataset"


class Hypersim:
    """A folder of Hypersim: a `DepthData`."""

    def __init__(self, folder: Path) -> None:
        """List the frames and look for their depth; raises ConfigError if there is none."""
        try:
            import h5py  # noqa: F401
        except ImportError:
            raise ConfigError(
                "Hypersim's depth is HDF5, which needs h5py: pip install 'redepth[train]'"
            ) from None
        self._folder = folder
        self.images = find_pairs(folder, _PATTERN, _depth_of)

    def read(self, number: int) -> DepthExample:
        """Read a frame; ray lengths become depth along the optical axis."""
        image = self.images[number]
        rgb_hw3 = read_picture(self._folder / image)
        path = self._folder / _depth_of(image)
        length_hw = read_hdf5(path, _DATASET)
        require_size(path, length_hw.shape, rgb_hw3.shape[:2])
        valid_hw = np.isfinite(length_hw) & (length_hw > 0)
        return DepthExample(rgb_hw3, z_of_ray_length(length_hw), valid_hw)


def z_of_ray_length(length_hw: FloatMap) -> FloatMap:
    """Return depth along the optical axis from the length of each pixel's ray, same unit."""
    height, width = length_hw.shape
    focal_px = FOCAL_LENGTH_PX * width / FULL_WIDTH_PX
    v, u = np.mgrid[:height, :width].astype(np.float64)
    u, v = u - (width - 1) / 2.0, v - (height - 1) / 2.0
    cosine_hw = focal_px / np.sqrt(u**2 + v**2 + focal_px**2)
    depth_hw: FloatMap = (length_hw * cosine_hw).astype(np.float32)
    return depth_hw


def _depth_of(image: str) -> str:
    moved = image.replace("_final_preview/", "_geometry_hdf5/")
    return moved.removesuffix(".tonemap.jpg") + ".depth_meters.hdf5"
