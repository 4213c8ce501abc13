"""What the two formats that fuse views share: the depth of each, its colours, and their voxels."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image
from pydantic import Field

from redepth.exports import npy
from redepth.exports.part import ExportFacts
from redepth.exports.posed.part import AlignedView, ViewFile, Views, zero_where_invalid
from redepth.exports.posed.scene import View
from redepth.exports.posed.settings import PosedSettings
from redepth.geometry.camera import Pinhole
from redepth.reconstruction.cameras import BY_NAME
from redepth.reconstruction.fusing import voxel_of
from redepth.types import ByteImage, FloatMap

CAMERAS = (BY_NAME["SIMPLE_PINHOLE"], BY_NAME["PINHOLE"])
_GREY = 128
_DEPTHS = "depths/{stem}.npy"


class FusedSettings(PosedSettings):
    """What may be chosen of a fusion."""

    voxel: float | None = Field(
        None,
        gt=0,
        description="side of a voxel in the scene's unit; unset: twice the distance of "
        "neighbouring pixels' points at the median depth",
    )


def encode(view: View, export: ExportFacts) -> tuple[bytes, int]:
    """Return float32 depth in the scene's unit, 0 where there is none."""
    return npy.encode(zero_where_invalid(view.depth_hw)), 0


VIEW_FILES = (ViewFile(_DEPTHS, encode),)


@dataclass(frozen=True, slots=True, eq=False)
class FusedView:
    """A view as fusion takes it: depth float32 [H, W], 0 is none; colours uint8 [H, W, 3]."""

    view: AlignedView
    depth_hw: FloatMap
    rgb_hw3: ByteImage
    camera: Pinhole


def aligned_views(views: Views) -> Iterator[FusedView]:
    """Read the aligned views back, one at a time; grey where no photographs are exported."""
    for view in views.labelled:
        if not view.is_aligned:
            continue
        path = _DEPTHS.format(stem=view.image.stem)
        depth_hw = npy.decode(views.root.read(path))
        camera = view.image.camera.pinhole(view.size_hw)
        yield FusedView(view, depth_hw, _colours(views, view), camera)


def _colours(views: Views, view: AlignedView) -> ByteImage:
    if not views.export.contents.with_images:
        return np.full((*view.size_hw, 3), _GREY, dtype=np.uint8)
    with Image.open(io.BytesIO(views.root.read(f"images/{view.image.stem}.png"))) as image:
        return np.asarray(image.convert("RGB"))


def voxel_side(views: Views) -> float:
    """Return the side of a voxel: the setting, or what suits the points that are seen."""
    chosen: float | None = views.export.settings.voxel
    if chosen is not None:
        return chosen
    view = next(view for view in views.labelled if view.is_aligned)
    depth_n = views.scene.reconstruction.seen(view.image).depth_n
    return voxel_of(float(np.median(depth_n)), view.image.camera.pinhole(view.size_hw))
