"""`datasets.load_dataset` of an export's folder, and of its files by the name of their format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from redepth.errors import ConfigError
from redepth.exports import exporters
from redepth.exports.request import ExportRequest
from redepth.exports.writing import export_labels
from redepth.store.reader import Labels
from redepth.types import DepthKind
from tests.exports.export_samples import NEEDING_NOTHING, some_maps, write_labels, write_photographs

# `datasets` takes these words in a file's name for splits; the last ids alone have a caption.
IDS = ("train", "test-1", "val/2", "b", "c", "d", "e", "f", "g")
READ_WHOLE = {"hf-parquet": "refined", "webdataset": "refined.npy"}


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    write_photographs(tmp_path, len(IDS))
    return write_labels(str(tmp_path / "labels"), some_maps(IDS), DepthKind.AFFINE_DEPTH)


def exported(labels: Labels, tmp_path: Path, format: str, *, with_images: bool = False) -> Path:
    out = tmp_path / format
    request = ExportRequest(format, ("refined", "confidence"), with_images=with_images)
    export_labels(labels, str(out), request)
    return out


def loaded(tmp_path: Path, *what: str, **how: Any) -> Any:
    """Load a data set in a cache of its own; return its only split."""
    splits = datasets.load_dataset(*what, cache_dir=str(tmp_path / "cache"), **how)
    assert list(splits) == ["train"], "no id is taken for a split"
    return splits["train"]


def ids_of(data: Any) -> list[str]:
    return list(data["id"]) if "id" in data.features else [row["id"] for row in data["json"]]


@pytest.mark.parametrize("with_images", [False, True])
@pytest.mark.parametrize("format", NEEDING_NOTHING)
def test_the_folder_of_every_format_loads(
    format: str, with_images: bool, labels: Labels, tmp_path: Path
) -> None:
    out = exported(labels, tmp_path, format, with_images=with_images)
    data = loaded(tmp_path, str(out))
    assert sorted(ids_of(data)) == sorted(IDS)
    column = READ_WHOLE.get(format)
    if column is None:  # `datasets` has no reader of these maps: a row an image, with its files
        suffix = exporters[format].suffixes[-1]  # type: ignore[attr-defined]
        names = [out / "refined" / f"{name}.{suffix}" for name in data["name"]]
        assert all(path.is_file() for path in names)
        return
    for image_id, example in zip(ids_of(data), data.with_format("numpy"), strict=True):
        np.testing.assert_array_equal(example[column], labels[image_id].refined)
        assert example[column].dtype == np.float32
    image = {"hf-parquet": "image", "webdataset": "image.png"}[format]
    assert (image in data.features) == with_images
    if with_images:
        assert data[0][image].size == labels[ids_of(data)[0]].refined.shape[::-1]


@pytest.mark.parametrize(
    ("format", "reader", "suffix"),
    [("hf-parquet", "parquet", "parquet"), ("webdataset", "webdataset", "tar")],
)
def test_its_files_load_by_the_name_of_their_format(
    format: str, reader: str, suffix: str, labels: Labels, tmp_path: Path
) -> None:
    out = exported(labels, tmp_path, format, with_images=True)
    data = loaded(tmp_path, reader, data_files=f"{out}/data/*.{suffix}")
    assert sorted(ids_of(data)) == sorted(IDS)
    assert sorted(ids_of(loaded(tmp_path, reader, data_dir=f"{out}/data"))) == sorted(IDS)


def test_a_stream_has_the_same_rows(labels: Labels, tmp_path: Path) -> None:
    for format in READ_WHOLE:
        out = exported(labels, tmp_path, format)
        stream = datasets.load_dataset(str(out), split="train", streaming=True)
        found = [example.get("id") or example["json"]["id"] for example in stream]
        assert sorted(found) == sorted(IDS)


def test_types_do_not_depend_on_the_first_five_images(labels: Labels, tmp_path: Path) -> None:
    """`datasets` looks at five; a column that is empty there would have no type."""
    out = exported(labels, tmp_path, "webdataset")
    row = loaded(tmp_path, str(out)).features["json"]
    for column, dtype in (("reason", "string"), ("drift", "float64"), ("num_members", "int32")):
        assert row[column].dtype == dtype


def test_a_card_that_somebody_wrote_on_stays(labels: Labels, tmp_path: Path) -> None:
    out = exported(labels, tmp_path, "hf-parquet")
    card = out / "README.md"
    assert "load_dataset" in card.read_text()
    card.write_text(card.read_text() + "\nOurs.\n")
    exported(labels, tmp_path, "hf-parquet")
    assert card.read_text().endswith("\nOurs.\n")
    assert sorted(ids_of(loaded(tmp_path, str(out)))) == sorted(IDS)


def test_an_export_of_another_layout_is_not_gone_on_with(labels: Labels, tmp_path: Path) -> None:
    out = exported(labels, tmp_path, "npy")
    facts = json.loads((out / "export.json").read_text())
    (out / "export.json").write_text(json.dumps({**facts, "layout": 1}))
    with pytest.raises(ConfigError, match=r"(?s)holds another export:.*layout"):
        exported(labels, tmp_path, "npy")
