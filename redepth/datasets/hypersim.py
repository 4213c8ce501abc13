"""Hypersim: rendered interiors, as its authors' scripts unpack it.

    ai_001_001/images/scene_cam_00_final_preview/frame.0000.tonemap.jpg
    ai_001_001/images/scene_cam_00_geometry_hdf5/frame.0000.depth_meters.hdf5

Its depth is the length of the ray from the camera, in metres, NaN where the ray meets nothing.

Source: Roberts et al. 2021; the focal length is that of its cameras, 886.81 px at 1024 x 768.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from redepth.datasets.depth_file import DepthFile, by_pattern
from redepth.datasets.files import require_same_size
from redepth.datasets.ground_truth import GroundTruth, Size, make_ground_truth
from redepth.datasets.part import DepthDataset
from redepth.errors import ConfigError
from redepth.geometry.camera import Pinhole
from redepth.images.data_files import read_hdf5

FOCAL_LENGTH_PX = 886.81
FULL_WIDTH_PX = 1024
DEPTH = "ai_*/images/scene_cam_*_geometry_hdf5/frame.*.depth_meters.hdf5"
PHOTOGRAPHS = "ai_*/images/scene_cam_*_final_preview/frame.*.tonemap.jpg"


def list_hypersim(root: Path) -> list[DepthFile]:
    """List the depth files; raises ConfigError where HDF5 cannot be read."""
    if find_spec("h5py") is None:
        raise ConfigError(
            "Hypersim's depth is HDF5, which needs h5py: pip install 'redepth[train]'"
        )
    return by_pattern(read_hypersim, DEPTH, photograph_of=photograph_of)(root)


def read_hypersim(path: Path, image_hw: Size) -> GroundTruth:
    """Read one frame; lengths of rays become depth along the optical axis."""
    length_hw = read_hdf5(path, "dataset")
    require_same_size(path, length_hw.shape, image_hw)
    camera = camera_of(image_hw)
    return make_ground_truth(camera.depth_of_ray_length(length_hw), has_edges=True, camera=camera)


def camera_of(size_hw: Size) -> Pinhole:
    """Return the camera of all frames at a size."""
    focal_px = FOCAL_LENGTH_PX * size_hw[1] / FULL_WIDTH_PX
    return Pinhole.centred(focal_px, focal_px, size_hw)


def photograph_of(depth: str) -> str:
    """Return where the photograph of a depth file lies."""
    moved = depth.replace("_geometry_hdf5/", "_final_preview/")
    return moved.removesuffix(".depth_meters.hdf5") + ".tonemap.jpg"


HYPERSIM = DepthDataset(
    "hypersim",
    files=f"`{DEPTH}`, unpacked as published",
    list_files=list_hypersim,
    read=read_hypersim,
    photographs=(PHOTOGRAPHS,),
    has_edges=True,
    is_complete=True,
)
