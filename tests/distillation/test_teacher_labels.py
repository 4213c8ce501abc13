"""What a student reads of its teacher's labels, and how lists name the images again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from redepth.distillation import lists
from redepth.distillation.teacher_labels import TeacherLabels
from redepth.errors import ConfigError
from redepth.images.collection import list_images
from redepth.store.objects import open_objects
from redepth.types import FocalSource, ImageRef, LabelRow, Outcome
from tests.torch_data.torch_data_samples import write_output


def test_refined_images_are_read_with_their_confidence(tmp_path: Path) -> None:
    labels = write_output(str(tmp_path), 6)
    teacher = TeacherLabels([f"{tmp_path}/labels"])
    assert len(teacher.ids) == 5  # one has no photograph
    picture = teacher.read(2)
    stored = labels[picture.id]
    np.testing.assert_array_equal(picture.refined_hw, stored.refined)
    np.testing.assert_allclose(picture.weight_hw, stored.confidence)
    assert picture.rgb_hw3.shape == (*picture.coarse_hw.shape, 3)
    assert not teacher.is_metric
    ((name, digest),) = teacher.recipes
    assert name == "mini" and len(digest) == 64


def test_without_a_refined_label_there_is_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.labels is empty"):
        TeacherLabels([])
    write_output(str(tmp_path), 0)
    with pytest.raises(ConfigError, match=r"holds no refined label"):
        TeacherLabels([f"{tmp_path}/labels"])


def test_a_list_names_the_same_images_again(tmp_path: Path) -> None:
    """Ids, captions and cameras are kept, so that their labels have the same names."""
    refs = [
        ImageRef("own id", f"{tmp_path}/a.png", caption="a face", focal_px=500.0),
        ImageRef("b", f"{tmp_path}/b.png", fov_deg=60.0),
    ]
    url = lists.write_list(open_objects(str(tmp_path)), "chosen.parquet", refs)
    first = (tmp_path / "chosen.parquet").read_bytes()
    again = list(list_images(url))
    assert [ref.id for ref in again] == ["own id", "b"]
    assert [ref.caption for ref in again] == ["a face", None]
    assert (again[0].focal_px, again[1].fov_deg) == (500.0, 60.0)
    lists.write_list(open_objects(str(tmp_path)), "chosen.parquet", refs)
    assert (tmp_path / "chosen.parquet").read_bytes() == first


def test_an_image_behind_a_signed_url_is_refused(tmp_path: Path) -> None:
    ref = ImageRef("a", "https://host/a.png", opens=SecretStr("https://host/a.png?sig=secret"))
    with pytest.raises(ConfigError, match=r"https://host/a\.png is opened by a signed URL") as told:
        lists.write_list(open_objects(str(tmp_path)), "chosen.parquet", [ref])
    assert "secret" not in str(told.value)


def test_a_rows_focal_length_is_named_where_a_list_said_it() -> None:
    row = LabelRow(id="a", uri="/a.png", outcome=Outcome.REFINED, caption="x", focal_px=400.0)
    assert lists.listed_again(row).focal_px is None
    said = replace(row, focal_source=FocalSource.LIST)
    assert lists.listed_again(said).focal_px == 400.0
