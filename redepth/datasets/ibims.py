"""iBims-1: laser depth of indoor scenes, as PNG with masks or as MAT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from redepth.datasets.depth_file import by_pattern
from redepth.datasets.files import read_png16
from redepth.datasets.ground_truth import BoolMap, GroundTruth, Size, make_ground_truth
from redepth.datasets.part import DepthDataset
from redepth.errors import ConfigError
from redepth.images.data_files import read_mat, read_pixels

METRES_OF_WHITE = 50.0
MASKS = "mask_invalid", "mask_transp"


def read_ibims(path: Path, image_hw: Size) -> GroundTruth:
    """Read one depth, metres; pixels marked invalid or transparent are not scored.

    Source: Koch et al. 2018.
    """
    return _read_mat(path) if path.suffix == ".mat" else _read_png(path)


def _read_png(path: Path) -> GroundTruth:
    """Read one depth PNG, in which 65535 is 50 m."""
    depth_hw = read_png16(path) * (METRES_OF_WHITE / 65535.0)
    known = np.ones(depth_hw.shape, dtype=bool)
    for name in MASKS:
        mask = path.parent.parent / name / path.name
        if mask.is_file():
            mask_hw = _read_mask(mask)
            if mask_hw.shape != known.shape:
                raise ConfigError(f"{mask} is {mask_hw.shape}, its depth {known.shape}")
            known &= mask_hw
    return make_ground_truth(depth_hw, known, has_edges=True)


def _read_mat(path: Path) -> GroundTruth:
    """Read one MAT file, whose struct `data` holds depth in metres and the masks."""
    stored: Any = read_mat(path, "data")
    try:
        data = stored[0, 0]
        depth_hw = np.asarray(data["depth"], dtype=np.float64)
        masks = [np.asarray(data[name]) > 0 for name in MASKS if name in data.dtype.names]
    except (KeyError, ValueError, IndexError, NotImplementedError, TypeError) as error:
        raise ConfigError(f"{path}: expected a struct `data` with a field `depth`") from error
    known: BoolMap = np.logical_and.reduce([np.ones(depth_hw.shape, dtype=bool), *masks])
    return make_ground_truth(depth_hw, known, has_edges=True)


def _read_mask(path: Path) -> BoolMap:
    """Return where a mask keeps a pixel: 0 is left out."""
    mask: BoolMap = np.asarray(read_pixels(path).convert("L")) > 0
    return mask


IBIMS = DepthDataset(
    "ibims",
    files="`depth/*.png` with `mask_invalid/`, `mask_transp/`; or `.mat`",
    list_files=by_pattern(read_ibims, "**/depth/*.png", "**/*.mat"),
    read=read_ibims,
    photographs=("**/rgb/*.png", "*.png"),
    scored="masks",
    has_edges=True,
)
