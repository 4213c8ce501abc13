"""fused-cloud: all aligned labels of a scene as one coloured cloud, a point a voxel.

    fused.ply             points in the world of the reconstruction, in its unit
    depths/{stem}.npy     the depth of each label, float32, 0 is none

Colours take `--with-images`; without it the cloud is grey.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from redepth.exports.ply import ply_of
from redepth.exports.posed.fused import (
    CAMERAS,
    VIEW_FILES,
    FusedSettings,
    aligned_views,
    voxel_side,
)
from redepth.exports.posed.part import PosedFormat, Views, describing
from redepth.reconstruction.fusing import Fusion

_CLOUD = "fused.ply"


class FusedCloudSettings(FusedSettings):
    """What may be chosen of it."""

    min_views: int = Field(1, ge=1, description="points that fewer pictures see are left out")


def scene_files(views: Views) -> Mapping[str, bytes]:
    """Return the cloud."""
    voxel = voxel_side(views)
    fusion = Fusion(voxel)
    for one in aligned_views(views):
        fusion.add(one.view.image, one.depth_hw, one.rgb_hw3, one.camera)
    cloud = fusion.cloud().seen_by(views.export.settings.min_views)
    comments = ("world frame and unit of the reconstruction", f"voxel {voxel:g}")
    return {_CLOUD: ply_of(cloud.xyz_n3, cloud.rgb_n3, comments)}


_DEPTH = {
    "kind": "z-depth",
    "type": "float32",
    "value": "of each label, and one cloud of all",
    "scale": 1.0,
    "invalid": 0,
    "precision": "float32",
}


FORMAT = PosedFormat(
    name="fused-cloud",
    files="`fused.ply`, and `depths/NAME.npy`",
    settings=FusedCloudSettings,
    describe=describing(_DEPTH),
    view_files=VIEW_FILES,
    scene_files=scene_files,
    scene_names=(_CLOUD,),
    cameras=CAMERAS,
    takes_images=True,
)
