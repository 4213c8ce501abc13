"""8-bit inverse depth: near is white whatever the kind, and it is said to be lossy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from redepth.errors import ConfigError
from redepth.exports.reading import open_export
from redepth.exports.request import ExportRequest
from redepth.exports.writing import export_labels
from redepth.types import DepthKind
from tests.exports.posed_samples import NAMES, label_of, write_labels

DEPTH_HW = np.tile(np.geomspace(1, 8, 64, dtype=np.float32), (64, 1))


@pytest.mark.parametrize("kind", DepthKind)
def test_near_is_white_and_far_is_black(kind: DepthKind, tmp_path: Path) -> None:
    photograph = tmp_path / NAMES[0]
    photograph.parent.mkdir()
    Image.new("RGB", (128, 128)).save(photograph)
    made = label_of(0, photograph, DEPTH_HW, kind)
    labels = write_labels(tmp_path / "labels", [made])
    export_labels(labels, str(tmp_path / "out"), ExportRequest("controlnet-depth"))
    with Image.open(tmp_path / "out/refined/00.png") as picture:
        assert (picture.mode, picture.size) == ("L", (128, 128))
        row = np.asarray(picture)[60].astype(int)
    assert row[0] == 255 and row[-1] == 0
    assert (np.diff(row) <= 0).all()
    if kind is not DepthKind.AFFINE_DEPTH:
        middle = (1 / DEPTH_HW[0, 32] - 1 / 8) / (1 - 1 / 8)
        assert row[64] / 255 == pytest.approx(middle, abs=0.02), "linear in inverse depth"
    with Image.open(tmp_path / "out/confidence/00.png") as picture:
        assert picture.mode == "L"
    facts = json.loads((tmp_path / "out/export.json").read_text())["quantities"]["refined"]
    assert "lossy" in facts["precision"]
    with pytest.raises(ConfigError, match="holds no numbers"):
        open_export(str(tmp_path / "out")).read("label-0", "refined")


def test_what_has_no_value_is_black(tmp_path: Path) -> None:
    photograph = tmp_path / "a.png"
    Image.new("RGB", (64, 64)).save(photograph)
    holed_hw = DEPTH_HW.copy()
    holed_hw[:20] = np.nan
    made = label_of(0, photograph, holed_hw, DepthKind.METRIC_DEPTH)
    labels = write_labels(tmp_path / "labels", [made])
    export_labels(labels, str(tmp_path / "out"), ExportRequest("controlnet-depth", ("refined",)))
    with Image.open(tmp_path / "out/refined/a.png") as picture:
        pixels = np.asarray(picture)
    assert (pixels[:20] == 0).all() and (pixels[20:, :30] > 0).all()
