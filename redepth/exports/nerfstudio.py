"""nerfstudio: transforms.json with depth, as nerfstudio's own data parser reads it.

    transforms.json        a frame a label: pose, intrinsics, file_path, depth_file_path
    depths/{stem}.npy      float32, or .png of 16 bits: thousandths of the scene's unit; 0 is none
    masks/{stem}.png       8 bits, 0 is left out of training altogether; with `masks`
    sparse_pc.ply          the reconstruction's points, for methods that start from them

Numbers are thousandths since the parser's `depth_unit_scale_factor` is 0.001 unless one sets it,
for .npy too. Its depth losses pass over a depth of 0: where a label has none, or is unaligned, the
photograph is still trained on. `masks` leave such pixels out of the photograph as well.

With the photographs (`images/{stem}.png`, at the label's size) the intrinsics are those of that
size; without them `file_path` is where the photograph was labelled, and it has to be a file here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from redepth.exports import npy
from redepth.exports.part import ExportFacts
from redepth.exports.ply import ply_of
from redepth.exports.posed.part import (
    AlignedView,
    PosedFormat,
    ViewFile,
    Views,
    describing,
    zero_where_invalid,
)
from redepth.exports.posed.part import png as png_of
from redepth.exports.posed.scene import View
from redepth.exports.posed.settings import PosedSettings
from redepth.reconstruction.cameras import BY_NAME

_PER_UNIT = 1000
_LAST = 65535
_TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
_TRANSFORMS, _POINTS = "transforms.json", "sparse_pc.ply"


class NerfstudioSettings(PosedSettings):
    """What may be chosen of it."""

    png: bool = Field(
        False, description="whether depth is 16-bit PNG, which ends at 65.535 units, not float32"
    )
    masks: bool = Field(False, description="whether pixels without depth are not trained on at all")


def encode_npy(view: View, export: ExportFacts) -> tuple[bytes, int]:
    """Return float32 thousandths of the scene's unit."""
    return npy.encode(zero_where_invalid(view.depth_hw) * np.float32(_PER_UNIT)), 0


def encode_png(view: View, export: ExportFacts) -> tuple[bytes, int]:
    """Return 16-bit thousandths, and how many pixels are beyond the last or below the first."""
    codes_hw = np.rint(zero_where_invalid(view.depth_hw) * np.float32(_PER_UNIT))
    fits_hw = (codes_hw >= 1) & (codes_hw <= _LAST)
    num_lost = int((np.isfinite(view.depth_hw) & ~fits_hw).sum())
    return png_of(np.where(fits_hw, codes_hw, 0).astype(np.uint16)), num_lost


def encode_mask(view: View, export: ExportFacts) -> tuple[bytes, int]:
    """Return 255 where there is depth, 0 elsewhere; 255 all over where the label is unaligned."""
    known_hw = np.isfinite(view.depth_hw) | (not view.alignment.is_aligned)
    return png_of(np.where(known_hw, 255, 0).astype(np.uint8)), 0


def scene_files(views: Views) -> Mapping[str, bytes]:
    """Return transforms.json and the points."""
    said = {
        "camera_model": "OPENCV",
        "ply_file_path": _POINTS,
        "frames": [_frame(view, views.export) for view in views.labelled],
    }
    points = views.scene.reconstruction
    cloud = ply_of(points.points_n3, points.colours_n3, ("points of the reconstruction, its unit",))
    return {_POINTS: cloud, _TRANSFORMS: (json.dumps(said, indent=2) + "\n").encode()}


def _frame(view: AlignedView, export: ExportFacts) -> dict[str, Any]:
    image, camera = view.image, view.image.camera
    size_hw = (camera.height_px, camera.width_px)
    file_path = str(view.record["photograph"])
    if export.contents.with_images:
        size_hw, file_path = view.size_hw, f"images/{image.stem}.png"
    by_height, by_width = size_hw[0] / camera.height_px, size_hw[1] / camera.width_px
    x, y = camera.centre_px
    frame: dict[str, Any] = {
        "file_path": file_path,
        "depth_file_path": _depth_file(export).path.format(stem=image.stem),
        "transform_matrix": (image.camera_to_world_44 @ _TO_OPENGL).tolist(),
        "fl_x": camera.focal_x_px * by_width,
        "fl_y": camera.focal_y_px * by_height,
        "cx": x * by_width,
        "cy": y * by_height,
        "w": size_hw[1],
        "h": size_hw[0],
        **camera.distortion,
    }
    return {**frame, "mask_path": f"masks/{image.stem}.png"} if export.settings.masks else frame


_DEPTH = {
    "kind": "z-depth",
    "type": "float32, or uint16 as png",
    "value": "thousandths of the unit",
    "scale": _PER_UNIT,
    "invalid": 0,
    "precision": "float32, or 0.0005 units as png",
}


def _is_npy(export: ExportFacts) -> bool:
    return not export.settings.png


def _is_png(export: ExportFacts) -> bool:
    return bool(export.settings.png)


def _has_masks(export: ExportFacts) -> bool:
    return bool(export.settings.masks)


_DEPTHS = (
    ViewFile("depths/{stem}.npy", encode_npy, _is_npy),
    ViewFile("depths/{stem}.png", encode_png, _is_png),
)


def _depth_file(export: ExportFacts) -> ViewFile:
    return next(file for file in _DEPTHS if file.wanted(export))


FORMAT = PosedFormat(
    name="nerfstudio",
    files="`transforms.json`, `depths/NAME.npy` or `.png`, perhaps `masks/NAME.png`",
    settings=NerfstudioSettings,
    describe=describing(_DEPTH),
    view_files=(
        ViewFile("masks/{stem}.png", encode_mask, _has_masks),
        *_DEPTHS,
    ),
    scene_files=scene_files,
    scene_names=(_TRANSFORMS, _POINTS),
    cameras=tuple(
        BY_NAME[name] for name in ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")
    ),
    takes_images=True,
    names_photographs=True,
)
