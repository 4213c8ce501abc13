"""The labelled part of NYU Depth v2, whose 1449 depth maps lie in one MATLAB file.

`nyu_depth_v2_labeled.mat` is HDF5 with `images` [1449, 3, 640, 480] and `depths` [1449, 640, 480],
metres: MATLAB's axes turned round, so that a map is the transpose of one page. Holes of the sensor
are filled in it, as in the published evaluations.

A photograph's name is its number in the file, alone or with a word of its role, leading zeros or
none: `45.png`, `rgb_00045.jpg`, `00045_colors.png`. Scripts in Python number from 0, those in
MATLAB from 1. Nothing in a name tells which, and the maps of neighbours look alike: that is chosen
by the format's name, and a number that only the other way of counting has is refused.

Source: Silberman et al. 2012; the crop is that of Eigen et al. 2014.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path

from redepth.datasets.depth_file import DepthFile
from redepth.datasets.files import first_matching
from redepth.datasets.ground_truth import GroundTruth, Size, make_ground_truth
from redepth.datasets.nyu import EIGEN_CROP, LIMITS, require_nyu_size
from redepth.datasets.part import DepthDataset
from redepth.errors import ConfigError
from redepth.images.data_files import count_hdf5_pages, read_hdf5_page

MAPS = "depths"
FROM_0, FROM_1 = "nyu-labeled", "nyu-labeled-from-1"


def list_nyu_labeled(root: Path, first: int) -> list[DepthFile]:
    """List the maps of the one MATLAB file below a folder, numbered from `first`.

    Raises:
        ConfigError: there are several such files, it is none, or HDF5 cannot be read.
    """
    paths = first_matching(root, ("**/*_labeled.mat", "**/*.mat"))
    if not paths:
        return []
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths[:3])
        raise ConfigError(
            f"{root} holds {len(paths)} MATLAB files ({names}): leave the one of the maps there"
        )
    if find_spec("h5py") is None:
        raise ConfigError(f"{paths[0]} is HDF5, which needs h5py: pip install 'redepth[train]'")
    (path,) = paths
    num_maps = count_hdf5_pages(path, MAPS)
    files = [
        DepthFile(str(first + number), path, partial(read_map, number=number), root=root)
        for number in range(num_maps)
    ]
    other = str(num_maps if first == 0 else 0)  # only the other way of counting has it
    refusal = (
        f"{path} has no map of this number when counted from {first}: the photographs seem to be "
        f"numbered from {1 - first}, so use --dataset-format {FROM_1 if first == 0 else FROM_0}"
    )
    return [*files, DepthFile(other, path, _refuse_list, root=root, refusal=refusal)]


def read_map(path: Path, image_hw: Size, number: int) -> GroundTruth:
    """Read the map of a number, counted from 0: metres, scored within Eigen's crop, below 10 m."""
    depth_hw = read_hdf5_page(path, MAPS, number).T
    require_nyu_size(path, depth_hw.shape)
    return make_ground_truth(depth_hw, limits=LIMITS, crop=EIGEN_CROP)


def _refuse_list(path: Path, image_hw: Size) -> GroundTruth:
    raise ConfigError(f"{path} holds many maps: give the file itself as ground truth, not a list")


def _numbered(name: str, first: int) -> DepthDataset:
    return DepthDataset(
        name,
        files=f"`nyu_depth_v2_labeled.mat`; photographs named by their number in it, from {first}",
        list_files=partial(list_nyu_labeled, first=first),
        read=_refuse_list,
        photographs=("**/*rgb*.jpg", "**/*_colors.png", "**/*.jpg", "**/*.png"),
        scored="Eigen's crop, below 10 m",
    )


NYU_LABELED, NYU_LABELED_FROM_1 = _numbered(FROM_0, 0), _numbered(FROM_1, 1)
