"""Every layout by the field's word for it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from redepth.errors import ConfigError
from redepth.images.data_files import read_text
from redepth.truth.diode import find_diode, read_diode
from redepth.truth.eth3d import find_eth3d, read_eth3d
from redepth.truth.ibims import find_ibims, read_ibims
from redepth.truth.kitti import EIGEN_CROP, find_kitti, find_kitti_eigen_crop, read_kitti
from redepth.truth.middlebury import find_middlebury, read_middlebury
from redepth.truth.nyu import find_nyu, read_nyu
from redepth.truth.rgbd import find_scannet, find_tum, read_scannet, read_tum
from redepth.truth.scenes import find_scenes, read_scene
from redepth.truth.sintel import find_sintel, read_dpt
from redepth.truth.truth import Size, Truth, TruthFile


@dataclass(frozen=True, slots=True)
class Layout:
    """How a data set's truth is laid out.

    Attributes:
        find: the truths below a folder.
        load: the truth in one file, given the photograph's (height, width).
    """

    find: Callable[[Path], list[TruthFile]]
    load: Callable[[Path, Size], Truth]


LAYOUTS: Mapping[str, Layout] = {
    "kitti": Layout(find_kitti, read_kitti),
    "kitti-eigen-crop": Layout(find_kitti_eigen_crop, partial(read_kitti, crop=EIGEN_CROP)),
    "nyu": Layout(find_nyu, read_nyu),
    "tum": Layout(find_tum, read_tum),
    "scannet": Layout(find_scannet, read_scannet),
    "eth3d": Layout(find_eth3d, read_eth3d),
    "diode": Layout(find_diode, read_diode),
    "sintel": Layout(find_sintel, read_dpt),
    "middlebury": Layout(find_middlebury, read_middlebury),
    "ibims": Layout(find_ibims, read_ibims),
    "scenes": Layout(find_scenes, read_scene),
}


def find_truth(where: Path, layout: str) -> list[TruthFile]:
    """Return the truths of a folder, or those that a list names.

    Args:
        where: the layout's folder; or a .csv with columns `uri` (the photograph) and `truth` (its
            file in this layout), both relative to the list or absolute.

    Raises:
        ConfigError: no such layout, nothing there, or a list without those columns.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"no layout {layout!r}; there are {', '.join(LAYOUTS)}")
    if where.suffix.lower() == ".csv":
        return _read_list(where, LAYOUTS[layout])
    return LAYOUTS[layout].find(where)


def _read_list(path: Path, layout: Layout) -> list[TruthFile]:
    if not path.is_file():
        raise ConfigError(f"no list {path}")
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
    except csv.Error as error:
        raise ConfigError(f"{path} is not a readable CSV file: {error}") from error
    if not rows or not {"uri", "truth"} <= set(rows[0]):
        raise ConfigError(f"{path}: expected a list with the columns uri and truth")
    found = []
    for row in rows:
        truth = path.parent / (row["truth"] or "")
        if not truth.is_file():
            raise ConfigError(f"{path} names {truth}, which is not there")
        found.append(TruthFile(str(Path(row["uri"] or "").with_suffix("")), truth, layout.load))
    return found
