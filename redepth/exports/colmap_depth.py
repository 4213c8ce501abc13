"""colmap-depth: depth and normal maps as COLMAP's dense workspace holds them, to be fused by it.

    stereo/depth_maps/{name}.geometric.bin     z-depth in the model's unit; 0 is none
    stereo/normal_maps/{name}.geometric.bin    unit normals in the camera frame, towards the camera
    stereo/fusion.cfg                          names of the pictures that are aligned, a line each
    masks/{name}.png                           8 bits, 0 where there is no depth

A map is the ASCII text "width&height&channels&" and float32, little-endian, row by row, channel
after channel. `colmap stereo_fusion --workspace_path OUT --input_type geometric` reads them, with
`images/` and `sparse/` of the undistorted workspace copied or linked there; the masks are named by
`--StereoFusion.mask_path OUT/masks`. Maps have the label's size: COLMAP scales its cameras to them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from redepth.exports.part import ExportFacts
from redepth.exports.posed.part import (
    PosedFormat,
    ViewFile,
    Views,
    describing,
    png,
    zero_where_invalid,
)
from redepth.exports.posed.scene import View
from redepth.geometry.points import surface_normals
from redepth.quantities import AnyMap
from redepth.reconstruction.cameras import BY_NAME

_FUSION = "stereo/fusion.cfg"


def colmap_array(values: AnyMap) -> bytes:
    """Return the bytes of COLMAP's Mat: [H, W] or [H, W, C] as float32."""
    planes = values[..., None] if values.ndim == 2 else values
    height_px, width_px, channels = planes.shape
    header = f"{width_px}&{height_px}&{channels}&".encode()
    return header + np.ascontiguousarray(np.moveaxis(planes, 2, 0), dtype="<f4").tobytes()


def encode_depth(view: View, export: ExportFacts) -> tuple[bytes, int]:
    """Return the depth map."""
    return colmap_array(zero_where_invalid(view.depth_hw)), 0


def encode_normals(view: View, export: ExportFacts) -> tuple[bytes, int]:
    """Return the normal map, 0 where there is no depth."""
    return colmap_array(np.nan_to_num(surface_normals(view.depth_hw, view.camera))), 0


def encode_mask(view: View, export: ExportFacts) -> tuple[bytes, int]:
    """Return 255 where there is depth."""
    return png(np.where(np.isfinite(view.depth_hw), 255, 0).astype(np.uint8)), 0


def scene_files(views: Views) -> Mapping[str, bytes]:
    """Return the list of pictures to fuse."""
    names = [f"{view.image.name}\n" for view in views.labelled if view.is_aligned]
    return {_FUSION: "".join(names).encode()}


_DEPTH = {
    "kind": "z-depth",
    "type": "float32",
    "scale": 1.0,
    "invalid": 0,
    "precision": "float32",
}


FORMAT = PosedFormat(
    name="colmap-depth",
    files="`stereo/depth_maps/NAME.geometric.bin`, normals, masks, `stereo/fusion.cfg`",
    describe=describing(_DEPTH),
    view_files=(
        ViewFile("masks/{name}.png", encode_mask),
        ViewFile("stereo/normal_maps/{name}.geometric.bin", encode_normals),
        ViewFile("stereo/depth_maps/{name}.geometric.bin", encode_depth),
    ),
    scene_files=scene_files,
    scene_names=(_FUSION,),
    cameras=(BY_NAME["SIMPLE_PINHOLE"], BY_NAME["PINHOLE"]),
)
