"""tsdf-mesh: all aligned labels of a scene as one surface, fused by Open3D in a TSDF volume.

    mesh.glb              the surface in the world of the reconstruction, in its unit
    depths/{stem}.npy     the depth of each label, float32, 0 is none

The truncated signed distance is cut at 4 voxels (`truncation`). Colours take `--with-images`.
Open3D is installed by itself (`pip install open3d`): 400 MB, and libraries of the system.

Source: Curless and Levoy 1996, "A Volumetric Method for Building Complex Models from Range Images".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
from pydantic import Field

from redepth.errors import ConfigError
from redepth.exports.glb import glb_of
from redepth.exports.posed.fused import (
    CAMERAS,
    VIEW_FILES,
    FusedSettings,
    FusedView,
    aligned_views,
    voxel_side,
)
from redepth.exports.posed.part import PosedFormat, Views, describing
from redepth.geometry.camera import Doubles, Pinhole
from redepth.geometry.meshes import Mesh

_MESH = "mesh.glb"
_UNIT = "that of the reconstruction"
_UNITS = 1.0  # of the depth files, in one of the reconstruction's
_BLOCK_VOXELS, _FIRST_BLOCKS = 16, 10_000  # Open3D's own; more blocks are made when they are needed
_LEAST_WEIGHT = 0.5  # of a voxel: one picture that saw it will do


class TsdfSettings(FusedSettings):
    """What may be chosen of it."""

    truncation: float = Field(4.0, gt=1, description="of the signed distance, in voxels")


def fuse(views: Iterable[FusedView], voxel: float, truncation: float) -> Mesh:
    """Integrate views into a TSDF volume and return its zero level set, world frame.

    Args:
        voxel: side of a voxel, in the depth's unit.
        truncation: in voxels.
    """
    o3d = _open3d()
    grid = o3d.t.geometry.VoxelBlockGrid(
        attr_names=("tsdf", "weight", "color"),
        attr_dtypes=(o3d.core.float32,) * 3,
        attr_channels=((1), (1), (3)),
        voxel_size=voxel,
        block_resolution=_BLOCK_VOXELS,
        block_count=_FIRST_BLOCKS,
        device=o3d.core.Device("CPU:0"),
    )
    for one in views:
        _integrate(o3d, grid, one, truncation)
    mesh = grid.extract_triangle_mesh(weight_threshold=_LEAST_WEIGHT).to_legacy()
    return Mesh(
        np.asarray(mesh.vertices).astype(np.float32),
        np.rint(np.asarray(mesh.vertex_colors) * 255).astype(np.uint8),
        np.asarray(mesh.triangles).astype(np.int64),
        num_at_edges=0,
    )


def _integrate(o3d: ModuleType, grid: Any, one: FusedView, truncation: float) -> None:
    depth = o3d.t.geometry.Image(o3d.core.Tensor(np.ascontiguousarray(one.depth_hw)))
    colours = np.ascontiguousarray(one.rgb_hw3, dtype=np.float32) / np.float32(255)
    colour = o3d.t.geometry.Image(o3d.core.Tensor(colours))
    intrinsic = o3d.core.Tensor(_intrinsic_33(one.camera))
    extrinsic = o3d.core.Tensor(_extrinsic_44(one))
    farthest = float(np.max(one.depth_hw, initial=0.0)) + 1.0
    how = (intrinsic, extrinsic, _UNITS, farthest, truncation)
    blocks = grid.compute_unique_block_coordinates(depth, *how)
    grid.integrate(blocks, depth, colour, intrinsic, *how)


def scene_files(views: Views) -> Mapping[str, bytes]:
    """Return the surface. Raises ConfigError: the voxels are too small for it to have one."""
    voxel = voxel_side(views)
    mesh = fuse(aligned_views(views), voxel, views.export.settings.truncation)
    if not len(mesh.faces_m3):
        raise ConfigError(f"the fused volume of voxels of {voxel:g} has no surface: set voxel")
    return {_MESH: glb_of(mesh, _UNIT)}


def _intrinsic_33(camera: Pinhole) -> Doubles:
    return np.array(
        [
            [camera.focal_x_px, 0.0, camera.centre_x_px],
            [0.0, camera.focal_y_px, camera.centre_y_px],
            [0.0, 0.0, 1.0],
        ]
    )


def _extrinsic_44(one: FusedView) -> Doubles:
    pose_44 = np.eye(4)
    pose_44[:3, :3], pose_44[:3, 3] = one.view.image.rotation_33, one.view.image.translation_3
    return pose_44


def _open3d() -> ModuleType:
    try:
        import open3d
    except ImportError as error:
        raise ConfigError(
            f"the format tsdf-mesh takes Open3D, which cannot be imported ({error}): pip install "
            "open3d; fused-cloud needs nothing"
        ) from error
    module: ModuleType = open3d
    return module


def _check() -> None:
    _open3d()


_DEPTH = {
    "kind": "z-depth",
    "type": "float32",
    "value": "of each label, and one surface of all",
    "scale": 1.0,
    "invalid": 0,
    "precision": "float32",
}


FORMAT = PosedFormat(
    name="tsdf-mesh",
    files="`mesh.glb`, and `depths/NAME.npy`; takes Open3D",
    settings=TsdfSettings,
    describe=describing(_DEPTH),
    check=_check,
    view_files=VIEW_FILES,
    scene_files=scene_files,
    scene_names=(_MESH,),
    cameras=CAMERAS,
    takes_images=True,
)
