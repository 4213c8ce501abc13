"""Poses as nerfstudio's transforms.json says them, for points that come from elsewhere (a LiDAR).

`transform_matrix` goes from the camera into the world, and its camera looks along -z with y up. The
points are to be in the same world as the poses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from redepth.errors import ConfigError
from redepth.images.data_files import read_file
from redepth.reconstruction.cameras import BY_NAME, ColmapCamera
from redepth.reconstruction.model import PosedImage, Reconstruction
from redepth.reconstruction.ply import PlyPoints

MAX_BYTES = 256 << 20
_TO_OPENCV = np.diag([1.0, -1.0, -1.0])
_DISTORTION = ("k1", "k2", "p1", "p2")


def read_transforms(path: Path, points: PlyPoints) -> Reconstruction:
    """Read poses from a transforms.json, or from the folder that holds one.

    Raises:
        ConfigError: there is none, or it says no poses.
    """
    file = path / "transforms.json" if path.is_dir() else path
    content = read_file(file, MAX_BYTES)
    try:
        said = json.loads(content)
        images = tuple(_image(said | frame) for frame in said["frames"])
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{file} is no transforms.json of nerfstudio: {error!r}") from error
    posed = Reconstruction(images, np.zeros((0, 3)), None, hashlib.sha256(content).hexdigest())
    return posed.with_points(points.xyz_n3, points.rgb_n3)


def _image(frame: Mapping[str, Any]) -> PosedImage:
    pose_44 = np.array(frame["transform_matrix"], dtype=np.float64)
    rotation_33 = (pose_44[:3, :3] @ _TO_OPENCV).T
    name = str(frame["file_path"]).removeprefix("./").lstrip("/")
    return PosedImage(name, _camera(frame), rotation_33, -rotation_33 @ pose_44[:3, 3])


def _camera(frame: Mapping[str, Any]) -> ColmapCamera:
    distortion = [float(frame.get(name, 0.0)) for name in _DISTORTION]
    numbers = [float(frame[name]) for name in ("fl_x", "fl_y", "cx", "cy")]
    model = BY_NAME["OPENCV"] if any(distortion) else BY_NAME["PINHOLE"]
    params = (*numbers, *distortion)[: model.num_params]
    return ColmapCamera(model, int(frame["w"]), int(frame["h"]), tuple(params))
