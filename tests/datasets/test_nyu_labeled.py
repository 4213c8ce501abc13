"""The labelled NYU: maps by their number in one MATLAB file, and which number is whose."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from redepth.datasets import dataset_named
from redepth.datasets.finding import find_ground_truth
from redepth.datasets.pairing import Pairing, pair
from redepth.errors import ConfigError

NUM_MAPS = 4
FORMATS = {"nyu-labeled": 0, "nyu-labeled-from-1": 1}


@pytest.fixture(scope="module")
def mat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write maps as MATLAB does: axes turned round, a block in front; map n is n + 2 m deep."""
    path = tmp_path_factory.mktemp("nyu") / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        depths = np.ones((NUM_MAPS, 640, 480), np.float32)
        depths *= np.arange(2, 2 + NUM_MAPS, dtype=np.float32)[:, None, None]
        depths[:, 200, 100] = 9.0
        chunks = (1, 640, 480)
        file.create_dataset("depths", data=depths, chunks=chunks, compression="gzip")
        file.create_dataset("images", (NUM_MAPS, 3, 640, 480), "u1", chunks=(1, 3, 640, 480))
    (path.parent / "splits.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    return path


def paired(where: Path, dataset_format: str, *names: str) -> Pairing:
    uris = {name: f"/photos/test/bathroom/{name}" for name in names}
    return pair(uris, find_ground_truth(where, dataset_format))


@pytest.mark.parametrize("dataset_format", FORMATS)
@pytest.mark.parametrize(
    "name", ["{}.png", "rgb_{:05d}.jpg", "{:05d}_colors.png", "img_{:04d}.png"]
)
def test_a_photograph_is_named_by_its_number(mat: Path, dataset_format: str, name: str) -> None:
    numbers = range(FORMATS[dataset_format], FORMATS[dataset_format] + NUM_MAPS)
    names = [name.format(number) for number in numbers]
    for where in (mat, mat.parent):
        found = paired(where, dataset_format, *names)
        assert not found.unmatched
        depths = [found.pairs[one].read((480, 640)).map_hw[0, 0] for one in names]
        assert depths == [2.0, 3.0, 4.0, 5.0]


def test_a_map_is_upright_and_scored_within_eigens_crop(mat: Path) -> None:
    found = paired(mat, "nyu-labeled", "3.png")
    truth = found.pairs["3.png"].read((480, 640))
    assert truth.size_hw == (480, 640)
    assert truth.map_hw[100, 200] == 9.0
    assert truth.mask_hw.sum() == (471 - 45) * (601 - 41)
    assert (truth.unit, truth.limits.highest, truth.has_edges) == ("m", 10.0, False)


@pytest.mark.parametrize(
    ("dataset_format", "number", "said"),
    [("nyu-labeled", 4, "from 1.*nyu-labeled-from-1"), ("nyu-labeled-from-1", 0, "nyu-labeled$")],
)
def test_a_number_of_the_other_way_of_counting_is_refused(
    mat: Path, dataset_format: str, number: int, said: str
) -> None:
    """Before anything is measured: all the others would be off by one."""
    with pytest.raises(ConfigError, match=rf"bathroom/{number}\.png: .*{said}"):
        paired(mat, dataset_format, "2.png", f"{number}.png")


def test_names_that_are_no_number_of_the_file_are_unmatched(mat: Path) -> None:
    found = paired(mat, "nyu-labeled", "5.png", "kitchen_2.png", "1.png")
    assert found.unmatched == ("5.png", "kitchen_2.png")
    assert found.num_unused == NUM_MAPS, "those of the other photographs"


def test_it_can_be_trained_on(mat: Path, tmp_path: Path) -> None:
    (tmp_path / mat.name).symlink_to(mat)
    (tmp_path / "photographs").mkdir()
    Image.new("RGB", (640, 480)).save(tmp_path / "photographs/rgb_00002.jpg")
    (sample,) = dataset_named("nyu-labeled").samples(tmp_path)
    assert sample.id == "photographs/rgb_00002.jpg"
    assert sample.truth.map_hw[0, 0] == 4.0


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nyu-labeled; expected `nyu_depth_v2_labeled\.mat`"):
        find_ground_truth(tmp_path, "nyu-labeled")
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(ConfigError, match=r"a\.mat holds no HDF5 data set 'depths'"):
        find_ground_truth(tmp_path, "nyu-labeled")
    (tmp_path / "b.mat").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"2 MATLAB files \(a\.mat, b\.mat\)"):
        find_ground_truth(tmp_path, "nyu-labeled")


def test_a_list_cannot_name_one_of_its_maps(mat: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(f"uri,ground_truth\n1.png,{mat}\n", encoding="utf-8")
    (file,) = find_ground_truth(pairs, "nyu-labeled")
    with pytest.raises(ConfigError, match="holds many maps"):
        file.read((480, 640))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((2, 640), "f4"), ((2, 640, 480), "S4"), ((2, 2**15, 2**15), "f8")]
)
def test_maps_of_another_make_are_refused(
    tmp_path: Path, shape: tuple[int, ...], dtype: str
) -> None:
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w") as file:
        file.create_dataset("depths", shape, dtype)
    with pytest.raises(ConfigError, match="expected numbers of 3 axes"):
        find_ground_truth(path, "nyu-labeled")


def test_a_map_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w") as file:
        file["depths"] = np.ones((2, 64, 48), np.float32)
    found = paired(path, "nyu-labeled", "1.png")
    with pytest.raises(ConfigError, match="640 x 480, this is 64 x 48"):
        found.pairs["1.png"].read((480, 640))
