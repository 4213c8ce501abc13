"""Collections of rendered scenes, whose depth is exact; see `redepth scenes`."""

from __future__ import annotations

from pathlib import Path

from redepth.datasets.depth_file import DepthFile
from redepth.datasets.ground_truth import GroundTruth, Size, make_ground_truth
from redepth.datasets.part import DepthDataset
from redepth.scenes.collection import read_collection, read_depth


def list_scenes(root: Path) -> list[DepthFile]:
    """List the depth files of a collection."""
    return [
        DepthFile(str(Path(row.uri).with_suffix("")), root / row.truth, read_scene, row.uri, root)
        for row in read_collection(root)
    ]


def read_scene(path: Path, image_hw: Size) -> GroundTruth:
    """Read one scene: metres with a camera, halves of the picture's height without."""
    depth_hw, camera = read_depth(path)
    unit = "half heights" if camera is None else "m"
    return make_ground_truth(depth_hw, unit=unit, has_edges=True, camera=camera)


SCENES = DepthDataset(
    "scenes",
    files="a folder of `redepth scenes`",
    list_files=list_scenes,
    read=read_scene,
    photographs=("images/*/*.png",),
    unit="m; half heights for reliefs",
    scored="all",
    has_edges=True,
    is_complete=True,
)
