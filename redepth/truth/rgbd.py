"""Depth cameras' videos: TUM RGB-D and ScanNet, 16-bit PNG."""

from __future__ import annotations

from bisect import bisect
from pathlib import Path

from redepth.truth.files import find_files, name_below, read_png16
from redepth.truth.truth import Size, Truth, TruthFile, make_truth

TUM_UNITS_PER_M, SCANNET_UNITS_PER_M = 5000.0, 1000.0
HIGHEST_M = 10.0
FARTHEST_STAMP_S = 0.02
PATTERNS = ("**/depth/*.png", "**/*depth*.png", "**/*.png")


def find_tum(root: Path) -> list[TruthFile]:
    """Return TUM's truths: each colour frame gets the depth frame nearest in time, within 20 ms.

    Where no folder `rgb` lies beside `depth`, files are paired by name.
    """
    files = find_files(root, PATTERNS, "16-bit depth PNGs (metres * 5000), as .../depth/*.png")
    found = []
    for folder in dict.fromkeys(path.parent for path in files):
        here = [path for path in files if path.parent == folder]
        found += _by_time(root, folder, here) or [(name_below(root, path), path) for path in here]
    return [TruthFile(name, path, read_tum) for name, path in found]


def find_scannet(root: Path) -> list[TruthFile]:
    """Return ScanNet's truths, of the same frame numbers as the colour images."""
    files = find_files(root, PATTERNS, "16-bit depth PNGs in mm, as scene*/depth/*.png")
    return [TruthFile(name_below(root, path), path, read_scannet) for path in files]


def read_tum(path: Path, image_hw: Size) -> Truth:
    """Read one depth PNG of TUM RGB-D, metres; 0 is unknown, from 10 m on it is not scored.

    Source: Sturm et al. 2012.
    """
    return make_truth(read_png16(path) / TUM_UNITS_PER_M, within=(0.0, HIGHEST_M))


def read_scannet(path: Path, image_hw: Size) -> Truth:
    """Read one depth PNG of ScanNet, metres; 0 is unknown, from 10 m on it is not scored.

    Source: Dai et al. 2017.
    """
    return make_truth(read_png16(path) / SCANNET_UNITS_PER_M, within=(0.0, HIGHEST_M))


def _by_time(root: Path, folder: Path, depths: list[Path]) -> list[tuple[str, Path]]:
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
            pairs.append((name_below(root, colour), depth))
    return pairs


def _is_stamp(path: Path) -> bool:
    return path.stem.replace(".", "", 1).isdigit() and "." in path.stem
