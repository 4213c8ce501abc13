"""Collections of rendered scenes, whose depth is exact; see `redepth scenes`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redepth.errors import ConfigError
from redepth.images.data_files import read_npz
from redepth.scenes.collection import read_collection
from redepth.scenes.scene import Camera
from redepth.truth.truth import Pinhole, Size, Truth, TruthFile, make_truth


def find_scenes(root: Path) -> list[TruthFile]:
    """Return the truths of a collection."""
    return [
        TruthFile(str(Path(row.uri).with_suffix("")), root / row.truth, read_scene)
        for row in read_collection(root)
    ]


def read_scene(path: Path, image_hw: Size) -> Truth:
    """Read one scene's truth: metres with a camera, halves of the picture's height without."""
    stored = read_npz(path, ("depth", "camera"))
    try:
        depth_hw = np.asarray(stored["depth"], dtype=np.float64)
        seen = Camera(*stored["camera"].tolist()) if "camera" in stored else None
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} is no truth of a rendered scene: {error!r}") from error
    if seen is None:
        return make_truth(depth_hw, unit="half heights", has_edges=True)
    camera = Pinhole(seen.focal_px, seen.focal_px, seen.centre_x_px, seen.centre_y_px)
    return make_truth(depth_hw, has_edges=True, camera=camera)
