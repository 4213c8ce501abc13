"""Labelled photographs as training data: the ones that were labelled, and no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from redepth.errors import PhotographChanged, PhotographGone
from redepth.store.reader import open_labels
from redepth.torch_data.labelled_pictures import LabelledPictures
from tests.flows.test_point_clouds import SIZES, write_output


def test_a_photograph_that_was_overwritten_is_no_training_data(tmp_path: Path) -> None:
    labels = open_labels(str(write_output(tmp_path)))
    pictures = LabelledPictures(labels, labels.photographs())
    assert pictures.images == sorted(SIZES)
    assert pictures.read(0).rgb_hw3.shape == (*SIZES["a"], 3)
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "c.png").unlink()
    with pytest.raises(PhotographChanged, match=r"b\.png is not the file that was labelled"):
        pictures.read(1)
    with pytest.raises(PhotographGone, match=r"c\.png is no longer there"):
        pictures.read(2)
