"""A format is a file and a line: nothing else knows its name, and an unknown one is an error."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import numpy as np
import pytest

from redepth.errors import ConfigError, IntegrityError
from redepth.exports import exporters
from redepth.exports.part import EncodedMap, MapFormat
from redepth.exports.reading import open_export
from redepth.exports.request import ExportRequest
from redepth.exports.writing import FACTS, export_labels
from redepth.types import DepthKind
from tests.exports.export_samples import IDS, some_maps, write_labels

ROOT = Path(__file__).resolve().parents[2]

HALVES = MapFormat(
    name="halves",
    files="`QUANTITY/NAME.half`",
    suffixes=("size", "half"),
    encode=lambda map_hw, facts, settings: EncodedMap(
        {"size": repr(map_hw.shape).encode(), "half": map_hw.astype("<f2").tobytes()}
    ),
    decode=lambda files: (
        np.frombuffer(files["half"], "<f2")
        .reshape(ast.literal_eval(files["size"].decode()))
        .astype(np.float32)
    ),
)


def test_a_format_that_nobody_has_names_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"no export format is called 'jpeg'; known: png16, npy"):
        ExportRequest("jpeg")


@pytest.mark.parametrize("name", exporters.own)
def test_only_its_own_file_knows_the_name_of_a_format(name: str) -> None:
    """Else a new format is written by a list that has forgotten it."""
    files = [path for room in ("redepth", "flows", "tasks") for path in (ROOT / room).rglob("*.py")]
    naming = [path.stem for path in files if name in _texts(path)]
    assert naming == [name.replace("-", "_")]


def _texts(path: Path) -> set[object]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.value for node in nodes if isinstance(node, ast.Constant)}


def test_a_new_format_comes_and_goes_by_its_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(exporters.own, "halves", HALVES)
    labels = write_labels(str(tmp_path / "labels"), some_maps(), DepthKind.AFFINE_DEPTH)
    out = str(tmp_path / "out")
    export_labels(labels, out, ExportRequest("halves", ("refined",)))
    for image_id in IDS:
        expected = labels[image_id].refined.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(open_export(out).read(image_id, "refined"), expected)
    monkeypatch.delitem(exporters.own, "halves")
    with pytest.raises(IntegrityError, match="no export format is called 'halves'"):
        open_export(out)


def test_what_a_format_takes_is_asked_for_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    labels = write_labels(str(tmp_path / "labels"), some_maps(), DepthKind.AFFINE_DEPTH)
    with pytest.raises(ConfigError, match=r"pip install 'redepth\[exr\]'"):
        export_labels(labels, str(tmp_path / "out"), ExportRequest("exr"))
    assert not (tmp_path / "out" / FACTS).exists()
