"""DIODE: laser depth as NPY, with a mask beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from redepth.datasets.depth_file import DepthFile
from redepth.datasets.files import first_matching, name_below
from redepth.datasets.ground_truth import GroundTruth, Size, make_ground_truth
from redepth.datasets.part import DepthDataset
from redepth.errors import ConfigError
from redepth.images.data_files import read_npy

SUFFIX, MASK_SUFFIX = "_depth.npy", "_depth_mask.npy"


def list_diode(root: Path) -> list[DepthFile]:
    """List DIODE's depth files, indoors and outdoors."""
    return [
        DepthFile(name_below(root, path).removesuffix("_depth"), path, read_diode, root=root)
        for path in first_matching(root, (f"**/*{SUFFIX}",))
    ]


def read_diode(path: Path, image_hw: Size) -> GroundTruth:
    """Read one depth, metres; where its mask is 0 it is unknown.

    Source: Vasiljevic et al. 2019.
    """
    mask_path = path.with_name(path.name.removesuffix(SUFFIX) + MASK_SUFFIX)
    if not mask_path.is_file():
        raise ConfigError(f"{path} has no mask beside it: expected {mask_path.name}")
    depth_hw, mask_hw = _read_map(path), _read_map(mask_path)
    if depth_hw.shape != mask_hw.shape:
        raise ConfigError(f"{path} is {depth_hw.shape}, its mask {mask_hw.shape}")
    return make_ground_truth(depth_hw, mask_hw > 0)


def _read_map(path: Path) -> np.ndarray:
    values = read_npy(path)
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 2:
        raise ConfigError(f"{path}: expected [H, W] or [H, W, 1], got {values.shape}")
    return np.asarray(values)


DIODE = DepthDataset(
    "diode",
    files=f"`*{SUFFIX}` with `*{MASK_SUFFIX}` beside each",
    list_files=list_diode,
    read=read_diode,
    photographs=("**/*.png",),
    scored="mask",
)
