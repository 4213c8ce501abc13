"""A data set of another package judges labels and trains refiners as redepth's own do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from redepth.datasets import dataset_named, datasets
from redepth.datasets.finding import find_ground_truth
from redepth.errors import ConfigError
from redepth.registry import DATASETS
from tests.test_registry import install

CODE = """
import numpy as np

from redepth.datasets.depth_file import by_pattern
from redepth.datasets.ground_truth import make_ground_truth
from redepth.datasets.part import DepthDataset


def read_text(path, image_hw):
    return make_ground_truth(np.loadtxt(path))


LIDAR = DepthDataset(
    "lidar",
    files="`*.txt`, metres",
    list_files=by_pattern(read_text, "*.txt"),
    read=read_text,
    photographs=("*.png",),
)
"""


def test_it_is_found_by_its_name_for_both_purposes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "lidar = others_parts:LIDAR", CODE, group=DATASETS)
    folder = tmp_path / "data"
    folder.mkdir()
    np.savetxt(folder / "depth_7.txt", np.full((4, 6), 3.0))
    Image.new("RGB", (6, 4)).save(folder / "rgb_7.png")
    assert "lidar" in datasets.names()
    (file,) = find_ground_truth(folder, "lidar")
    assert (file.read((4, 6)).map_hw == 3.0).all()
    (sample,) = dataset_named("lidar").samples(folder)
    assert sample.id == "rgb_7.png"
    assert (sample.truth.depth_hw() == 3.0).all()


def test_one_that_is_not_installed_is_named_with_the_known() -> None:
    with pytest.raises(ConfigError, match=r"'radar'; known: kitti, .*redepth\.datasets"):
        dataset_named("radar")
