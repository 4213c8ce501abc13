"""Coarse maps for a training, out of labels: by path, wherever the data lay when labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from redepth.errors import ConfigError
from redepth.store.reader import Labels
from redepth.torch_data.coarse_maps import LabelledCoarseMaps
from tests.torch_data.torch_data_samples import write_output


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    return write_output(str(tmp_path_factory.mktemp("data") / "rooms"), 6)


def test_a_pictures_map_is_found_by_the_end_of_its_path(labels: Labels) -> None:
    found = LabelledCoarseMaps(labels, ["rooms/0002.png", "0004.png"])
    own = labels[labels.find("0002.png")]
    coarse = found("rooms/0002.png")
    np.testing.assert_array_equal(coarse.map_hw, own.coarse)
    assert coarse.kind is own.row.kind
    assert not np.array_equal(found("0004.png").map_hw, coarse.map_hw)


def test_pictures_without_a_map_are_named(labels: Labels) -> None:
    """0003 was rejected, and halls/0002 is another file."""
    with pytest.raises(ConfigError, match=r"no coarse map of 2 of 3 pictures: 0003\.png, halls/"):
        LabelledCoarseMaps(labels, ["0001.png", "0003.png", "halls/0002.png"])


def test_labels_are_not_matched_by_a_part_of_a_name(labels: Labels, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no coarse map of 1 of 1 pictures: 2\.png"):
        LabelledCoarseMaps(labels, ["2.png"])
