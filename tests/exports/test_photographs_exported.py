"""An export with photographs holds those that were labelled, and says which it leaves out."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from redepth.errors import ConfigError
from redepth.exports.reading import open_export
from redepth.exports.request import ExportRequest
from redepth.exports.writing import begin_export, export_labels, write_pending
from redepth.store.reader import Labels
from redepth.types import DepthKind
from tests.exports.export_samples import (
    HOLDING_NUMBERS,
    IDS,
    NEEDING_NOTHING,
    some_maps,
    write_labels,
    write_photographs,
)

CHANGED, GONE = IDS[2], IDS[5]


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    """Return labels of photographs of which, since then, one was overwritten and one removed."""
    write_photographs(tmp_path, len(IDS))
    labels = write_labels(str(tmp_path / "labels"), some_maps(), DepthKind.AFFINE_DEPTH, shards=3)
    Image.new("RGB", (28, 24), "red").save(tmp_path / "2.png")
    (tmp_path / "5.png").unlink()
    return labels


@pytest.mark.parametrize("format", HOLDING_NUMBERS)
def test_a_photograph_that_was_not_labelled_is_in_no_export(
    format: str, labels: Labels, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    seen: list[None] = []
    request = ExportRequest(format, ("refined",), with_images=True)
    exported = write_pending(begin_export(labels, str(out), request), lambda: seen.append(None))
    assert exported.num_images == len(IDS) - 2
    assert exported.left_out == {"changed since it was labelled": 1, "not there any more": 1}
    assert len(seen) == len(IDS), "progress counts what is left out"
    export = open_export(str(out))
    assert set(export.ids) == set(IDS) - {CHANGED, GONE}
    assert export.facts["left_out"] == exported.left_out
    assert export.facts["num_images"] == exported.num_images and export.facts["complete"]
    said = {json.loads(path.read_text())["id"] for path in (out / "left-out").iterdir()}
    assert said == {CHANGED, GONE}
    for image_id in export.ids:
        np.testing.assert_allclose(
            export.read(image_id, "refined"), labels[image_id].refined, atol=1e-3
        )
    red = [name for name, picture in _pictures(out).items() if _is_red(picture)]
    assert red == [] and len(_pictures(out)) == len(IDS) - 2


@pytest.mark.parametrize("format", NEEDING_NOTHING)
def test_what_was_left_out_comes_in_once_the_photograph_is_back(
    format: str, labels: Labels, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    request = ExportRequest(format, ("refined",), with_images=True)
    export_labels(labels, out, request)
    write_photographs(tmp_path, len(IDS))
    again = export_labels(labels, out, request)
    assert (again.num_images, again.left_out) == (len(IDS), {})
    assert set(open_export(out).ids) == set(IDS)
    assert not list((tmp_path / "out" / "left-out").iterdir())
    assert len(_pictures(tmp_path / "out")) == len(IDS)


@pytest.mark.parametrize("format", NEEDING_NOTHING)
def test_a_kill_after_something_was_left_out_hides_nothing(
    format: str, labels: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard that is there without one of its images is not taken for whole."""
    out = str(tmp_path / "out")
    request = ExportRequest(format, ("refined",), with_images=True)
    with monkeypatch.context() as patch:
        patch.setattr("redepth.exports.writing._complete", _killed)
        with pytest.raises(KeyboardInterrupt):
            export_labels(labels, out, request)
    assert export_labels(labels, out, request).left_out == {
        "changed since it was labelled": 1,
        "not there any more": 1,
    }
    assert set(open_export(out).ids) == set(IDS) - {CHANGED, GONE}


def test_without_photographs_nothing_is_left_out(labels: Labels, tmp_path: Path) -> None:
    exported = export_labels(labels, str(tmp_path / "out"), ExportRequest("npy"))
    assert (exported.num_images, exported.left_out) == (len(IDS), {})


def test_photographs_of_which_none_may_be_read_are_refused(tmp_path: Path) -> None:
    labels = write_labels(
        str(tmp_path / "labels"), some_maps(), DepthKind.AFFINE_DEPTH, at="s3://theirs"
    )
    request = ExportRequest("npy", with_images=True)
    with pytest.raises(ConfigError, match=r"no photograph may be read: s3://theirs.*--allow ROOT"):
        begin_export(labels, str(tmp_path / "out"), request)
    assert not (tmp_path / "out").exists()
    begin_export(labels, str(tmp_path / "out"), request, allow=["s3://theirs"])


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def _is_red(picture: bytes) -> bool:
    with Image.open(io.BytesIO(picture)) as image:
        return image.convert("RGB").getextrema() == ((255, 255), (0, 0), (0, 0))


def _pictures(out: Path) -> dict[str, bytes]:
    """Return every photograph of an export, however it is packed."""
    found = {path.name: path.read_bytes() for path in out.glob("image/*.png")}
    for path in out.glob("data/*.tar"):
        with tarfile.open(path) as tar:
            for member in tar.getmembers():
                if member.name.endswith("image.png"):
                    file = tar.extractfile(member)
                    assert file is not None
                    found[member.name] = file.read()
    for path in out.glob("data/*.parquet"):
        for image in pq.read_table(path, columns=["image"])["image"].to_pylist():
            found[image["path"]] = image["bytes"]
    return found
