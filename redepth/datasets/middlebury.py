"""Middlebury stereo, 2001 to 2021: disparities as PFM, TIFF or scaled 8-bit images.

With a calibration beside it a disparity becomes depth in metres; without one it stays what it is.
"""

from __future__ import annotations

import math
import re
from dataclasses import astuple
from pathlib import Path

import numpy as np

from redepth.datasets.depth_file import DepthFile
from redepth.datasets.files import Doubles, all_matching
from redepth.datasets.ground_truth import (
    GroundTruth,
    GroundTruthKind,
    Size,
    make_ground_truth,
)
from redepth.datasets.part import DepthDataset
from redepth.errors import ConfigError
from redepth.geometry.camera import Pinhole
from redepth.images.data_files import read_pixels, read_text

# Disparity of the left view, and the stem of the photograph it belongs to.
VIEWS = {"disp0": "im0", "disp0GT": "im0", "disp1": "view1", "disp2": "im2"}
PATTERNS = ("**/disp0.pfm", "**/disp0GT.pfm", "**/disp1.p[ng]*", "**/disp2.p[ng]*")
FULL_WIDTH_2003_PX = 1800
CALIBRATION = "calib.txt"
_MAX_CALIBRATION_BYTES = 2**16


def list_middlebury(root: Path) -> list[DepthFile]:
    """List the disparities of all scenes below `root`, of whichever year."""
    return [
        DepthFile(_image_name(root, path), path, read_middlebury, root=root)
        for path in all_matching(root, PATTERNS)
    ]


def read_middlebury(path: Path, image_hw: Size) -> GroundTruth:
    """Read one scene: z-depth in metres where calib.txt is there, else disparity in px.

    z = baseline * focal / (disparity + doffs). Unknown is infinite in PFM and 0 elsewhere.

    Source: Scharstein et al. 2003, 2007, 2014.
    """
    disparity_hw = read_disparity(path)
    calibration = path.with_name(CALIBRATION)
    if not calibration.is_file():
        return make_ground_truth(
            disparity_hw, kind=GroundTruthKind.DISPARITY, unit="px", has_edges=True
        )
    camera, offset_px, baseline_m = read_calibration(calibration)
    known = np.isfinite(disparity_hw) & (disparity_hw > 0) & (disparity_hw + offset_px > 0)
    depth_hw = np.zeros_like(disparity_hw)
    np.divide(baseline_m * camera.focal_x_px, disparity_hw + offset_px, out=depth_hw, where=known)
    return make_ground_truth(depth_hw, known, has_edges=True, camera=camera)


def read_disparity(path: Path) -> Doubles:
    """Return disparities in px of the file's own grid, float64 [H, W]."""
    image = read_pixels(path)
    values = np.asarray(image, dtype=np.float64)
    if image.mode == "F":
        return values
    if image.mode not in ("L", "P", "I;16", "I"):
        raise ConfigError(f"{path}: expected grey or float disparities, got {image.mode}")
    return values / png_scale(path.stem, image.width)


def png_scale(stem: str, width_px: int) -> float:
    """Return what an image's values are divided by: as the file's year and size imply.

    2003: 4 at quarter, 2 at half, 1 at full size (1800 px wide). 2005 and 2006: 3 at third, 2 at
    half, 1 at full size (some 1300 px wide). 2001: 8. After an alignment it makes no difference.
    """
    if stem == "disp1":
        return 1.0 if width_px > 1000 else 2.0 if width_px > 540 else 3.0
    if stem == "disp2":
        scale = FULL_WIDTH_2003_PX / width_px
        return scale if scale in (1.0, 2.0, 4.0) else 8.0
    return 1.0


def read_calibration(path: Path) -> tuple[Pinhole, float, float]:
    """Return the left camera, the offset between the principal points in px, the baseline in m.

    Raises:
        ConfigError: cam0, doffs or baseline is not there, or means no camera.
    """
    entries = dict(
        re.findall(r"^(\w+)=(.*)$", read_text(path, _MAX_CALIBRATION_BYTES), re.MULTILINE)
    )
    try:
        matrix = [float(word) for word in re.findall(r"[-+.\deE]+", entries["cam0"])]
        offset_px, baseline_mm = float(entries["doffs"]), float(entries["baseline"])
        camera = Pinhole(matrix[0], matrix[4], matrix[2], matrix[5])
    except (KeyError, ValueError, IndexError) as error:
        raise ConfigError(
            f"{path}: expected cam0=[f 0 cx; 0 f cy; ...], doffs, baseline"
        ) from error
    numbers = *astuple(camera), offset_px, baseline_mm
    if not all(map(math.isfinite, numbers)) or min(matrix[0], matrix[4], baseline_mm) <= 0:
        raise ConfigError(
            f"{path}: expected finite numbers, focal lengths and a baseline above 0, got "
            f"cam0 {entries['cam0']}, doffs {offset_px:g}, baseline {baseline_mm:g}"
        )
    return camera, offset_px, baseline_mm / 1000.0


def _image_name(root: Path, path: Path) -> str:
    return path.with_name(VIEWS[path.stem]).relative_to(root).as_posix()


MIDDLEBURY = DepthDataset(
    "middlebury",
    files="`disp0.pfm`, `disp1.png` or `disp2.png`; with `calib.txt` beside it: depth",
    list_files=list_middlebury,
    read=read_middlebury,
    photographs=("**/im0.png", "**/view1.png", "**/im2.p[np][gm]"),
    unit="m, or px",
    has_edges=True,
)
