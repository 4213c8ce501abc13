"""TUM RGB-D: a depth camera's videos, 16-bit PNG."""

from __future__ import annotations

from bisect import bisect
from pathlib import Path

from redepth.datasets.depth_file import DepthFile
from redepth.datasets.files import first_matching, name_below, read_png16
from redepth.datasets.ground_truth import DepthLimits, GroundTruth, Size, make_ground_truth
from redepth.datasets.part import DepthDataset

UNITS_PER_M = 5000.0
LIMITS = DepthLimits(0.0, 10.0)
FARTHEST_STAMP_S = 0.02
PATTERNS = ("**/depth/*.png", "**/*depth*.png", "**/*.png")


def list_tum(root: Path) -> list[DepthFile]:
    """List TUM's depth files: each colour frame gets the one nearest in time, within 20 ms.

    Where no folder `rgb` lies beside `depth`, files are paired by name.
    """
    files = first_matching(root, PATTERNS)
    found: list[DepthFile] = []
    for folder in dict.fromkeys(path.parent for path in files):
        here = [path for path in files if path.parent == folder]
        found += _by_time(root, folder, here) or [
            DepthFile(name_below(root, path), path, read_tum, root=root) for path in here
        ]
    return found


def read_tum(path: Path, image_hw: Size) -> GroundTruth:
    """Read one depth PNG of TUM RGB-D, metres; 0 is unknown, from 10 m on it is not scored.

    Source: Sturm et al. 2012.
    """
    return make_ground_truth(read_png16(path) / UNITS_PER_M, limits=LIMITS)


def _by_time(root: Path, folder: Path, depths: list[Path]) -> list[DepthFile]:
    """Pair depth frames with the colour frames beside them by their time stamps, in seconds."""
    colours = [path for path in (folder.parent / "rgb").glob("*") if _is_stamp(path)]
    stamped = sorted((float(path.stem), path) for path in depths if _is_stamp(path))
    if not colours or not stamped:
        return []
    pairs = []
    for colour in sorted(colours):
        stamp = float(colour.stem)
        place = bisect(stamped, (stamp,))
        near = stamped[max(place - 1, 0) : place + 1]
        nearest, depth = min(near, key=lambda entry: abs(entry[0] - stamp))
        if abs(nearest - stamp) <= FARTHEST_STAMP_S:
            photograph = colour.relative_to(root).as_posix()
            pairs.append(DepthFile(name_below(root, colour), depth, read_tum, photograph, root))
    return pairs


def _is_stamp(path: Path) -> bool:
    digits = path.stem.replace(".", "", 1)
    return digits.isascii() and digits.isdecimal() and "." in path.stem


TUM = DepthDataset(
    "tum",
    files="`**/depth/*.png`, 16-bit, metres * 5000",
    list_files=list_tum,
    read=read_tum,
    photographs=("**/rgb/*.png", "**/*.jpg"),
    scored="below 10 m",
)
