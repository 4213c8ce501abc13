"""Every image has files of its own, whatever its id, on every disk; the catalogue says which."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.exports.items import file_names
from redepth.exports.reading import open_export
from redepth.exports.request import ExportRequest
from redepth.exports.writing import export_labels
from redepth.types import DepthKind
from tests.exports.export_samples import HOLDING_NUMBERS, some_maps, write_labels

CJK = "\N{CJK UNIFIED IDEOGRAPH-56FE}"
HARD = (
    CJK * 24,
    CJK * 25,
    "x" * 214,
    "x" * 215,
    "folder/of/a photograph.jpg",
    "folder\\of\\b",
    "../../up",
    ".hidden",
    "..",
    ".",
    "CON",
    "con",
    "aux",
    "Lpt1",
    "Nul",
    "Kitchen",
    "kitchen",
    "KITCHEN",
    "é",
    "e\N{COMBINING ACUTE ACCENT}",
    "trailing.",
    "trailing ",
    "a:b*c?d|e<f>g",
    "-rf",
    "%2E",
    "",
)


@pytest.mark.parametrize("format", HOLDING_NUMBERS)
def test_hard_ids_are_exported_in_every_format(format: str, tmp_path: Path) -> None:
    labels = write_labels(str(tmp_path / "labels"), some_maps(HARD), DepthKind.AFFINE_DEPTH)
    out = tmp_path / "out"
    assert export_labels(labels, str(out), ExportRequest(format)).num_images == len(HARD)
    export = open_export(str(out))
    assert set(export.ids) == set(HARD)
    for image_id in HARD:
        stored = labels[image_id].refined
        np.testing.assert_allclose(export.read(image_id, "refined"), stored, atol=1e-3)
    catalogue = pq.read_table(out / "catalogue.parquet", columns=["id", "name"]).to_pylist()
    names = {row["id"]: row["name"] for row in catalogue}
    assert sorted(names.values()) == sorted(file_names(list(names)))
    files = {path.name.partition(".")[0] for path in out.glob("refined/*")}
    files |= {key for path in out.glob("data/*.tar") for key in _keys(path)}
    assert not files or files == set(names.values())
    assert len({name.lower() for name in names.values()}) == len(HARD)


def _keys(path: Path) -> set[str]:
    with tarfile.open(path) as tar:
        return {member.name.partition(".")[0] for member in tar}


def test_what_needs_no_digest_is_as_it_was() -> None:
    plain = ["IMG_0001-0a1b2c3d4e5f6071", "x" * 200, "a/b", "console", "com10", "CJK"]
    expected = ["IMG_0001-0a1b2c3d4e5f6071", "x" * 200, "a%2Fb", "console", "com10", "CJK"]
    assert file_names(plain) == expected
    digested = file_names([CJK * 24, "NUL", "Kitchen", "kitchen", ""])
    assert all(re.fullmatch(r".*%-[0-9a-f]{32}", name) for name in digested)
    assert digested[2].startswith("Kitchen%-")


@given(st.lists(st.text("aAbB.é/%~-\N{HAMMER}", max_size=80), unique=True, max_size=8))
def test_names_never_meet_and_fit_every_disk(ids: list[str]) -> None:
    names = file_names(ids)
    assert len({name.lower() for name in names}) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_%-]{1,200}", name) for name in names)
    assert file_names(ids[::-1]) == names[::-1]


def test_a_later_image_of_almost_the_same_name_moves_the_first(tmp_path: Path) -> None:
    """Its file gets another name then, and nothing stays under the old one."""
    maps = some_maps(("kitchen", "Kitchen", "attic"))
    out = str(tmp_path / "out")
    labels = write_labels(str(tmp_path / "labels"), maps, DepthKind.AFFINE_DEPTH)
    request = ExportRequest("npy", ("refined",))
    export_labels(labels.where("id != 'Kitchen'"), out, request)
    assert (tmp_path / "out" / "refined" / "kitchen.npy").is_file()
    export_labels(labels, out, request)
    export = open_export(out)
    for image_id, map_hw in maps.items():
        np.testing.assert_array_equal(export.read(image_id, "refined"), map_hw)
    found = sorted(path.name[:9] for path in (tmp_path / "out" / "refined").iterdir())
    assert found == ["Kitchen%-", "attic.npy", "kitchen%-"]
