"""An export that was stopped goes on, writes nothing twice, and drops what is no longer true."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from redepth.config import Storage
from redepth.errors import ConfigError
from redepth.exports.reading import open_export
from redepth.exports.request import ExportRequest
from redepth.exports.writing import begin_export, write_pending
from redepth.store.manifest import ShardPlan
from redepth.store.objects import Objects, open_objects
from redepth.store.reader import Labels, open_labels
from redepth.store.shards import write_shard
from redepth.types import DepthKind, ImageRef
from tests.exports.export_samples import (
    HOLDING_NUMBERS,
    IDS,
    NEEDING_NOTHING,
    label,
    some_maps,
    write_labels,
)

KIND = DepthKind.AFFINE_DISPARITY


class Killed(BaseException):
    """Stands for SIGKILL: nothing that catches errors may catch it."""


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    return write_labels(str(tmp_path / "labels"), some_maps(), KIND, shards=3)


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return the names of the objects that are put, as they are put."""
    names: list[str] = []
    for method in ("put", "put_file"):
        real: Callable[..., None] = getattr(Objects, method)

        def put(
            self: Objects, name: str, content: object, real: Callable[..., None] = real
        ) -> None:
            names.append(name)
            real(self, name, content)

        monkeypatch.setattr(Objects, method, put)
    yield names


def files(out: Path) -> dict[str, bytes]:
    found = (path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("format", NEEDING_NOTHING)
@pytest.mark.parametrize("images_before", [0, 1, 4])
def test_a_killed_export_goes_on_and_comes_to_the_same(
    format: str, images_before: int, labels: Labels, tmp_path: Path, puts: list[str]
) -> None:
    request = ExportRequest(format)
    write_pending(begin_export(labels, str(tmp_path / "whole"), request), lambda: None)
    out = tmp_path / "killed"
    left = iter(range(images_before))

    def kill() -> None:
        if next(left, None) is None:
            raise Killed

    with pytest.raises(Killed):
        write_pending(begin_export(labels, str(out), request), kill)
    assert json.loads((out / "export.json").read_text())["complete"] is False
    there = {name: content for name, content in files(out).items() if "/" in name}
    whole = files(tmp_path / "whole")
    assert there.items() <= whole.items(), "what is there under its name is whole"
    puts.clear()
    plan = begin_export(labels, str(out), request)
    write_pending(plan, lambda: None)
    assert plan.num_done + len(plan.pending) == len(IDS)
    assert not set(puts) & there.keys(), "what was written is not written again"
    assert files(out) == whole


def test_a_second_run_writes_no_piece(labels: Labels, tmp_path: Path, puts: list[str]) -> None:
    request = ExportRequest("png16")
    write_pending(begin_export(labels, str(tmp_path / "out"), request), lambda: None)
    puts.clear()
    plan = begin_export(labels, str(tmp_path / "out"), request)
    assert plan.pending == () and plan.num_done == len(IDS)
    write_pending(plan, lambda: None)
    assert set(puts) == {"export.json", "catalogue.parquet"}


@pytest.mark.parametrize("format", HOLDING_NUMBERS)
def test_a_label_that_changed_is_exported_anew(
    format: str, labels: Labels, tmp_path: Path, puts: list[str]
) -> None:
    out = str(tmp_path / "out")
    write_pending(begin_export(labels, out, ExportRequest(format)), lambda: None)
    changed = some_maps()["f"] + 1
    retry(labels.url, labels["f"].row.shard or "", changed)
    again = open_labels(labels.url)
    puts.clear()
    write_pending(begin_export(again, out, ExportRequest(format)), lambda: None)
    np.testing.assert_allclose(open_export(out).read("f", "refined"), changed, atol=1e-3)
    pieces = [name for name in puts if "/" in name]
    assert len(pieces) == {"png16": 4, "npy": 2, "exr": 2}.get(format, 1)


def retry(url: str, shard: str, map_hw: np.ndarray) -> None:
    """Commit another try at the image `f`, as `redepth label --retry` does."""
    plan = ShardPlan(shard, f"{shard}.1", (ImageRef("f", "f.png"),))
    assert plan.is_retry
    write_shard(url, plan, [label(plan.images[0], map_hw, KIND)], Storage())


def test_images_that_are_gone_leave_the_export(labels: Labels, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    write_pending(begin_export(labels, out, ExportRequest("npy")), lambda: None)
    shard = labels["f"].row.shard
    gone = [i for i in IDS if labels[i].row.shard == shard]
    open_objects(labels.url).delete(f"labels/{shard}.parquet")
    write_pending(begin_export(open_labels(labels.url), out, ExportRequest("npy")), lambda: None)
    assert set(open_export(out).ids) == set(IDS) - set(gone)
    assert len(list((tmp_path / "out" / "refined").iterdir())) == len(IDS) - len(gone)


def test_another_export_in_the_same_place_is_refused(labels: Labels, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    request = ExportRequest("npy")
    begin_export(labels, out, request)
    for other in (
        replace(request, format="exr"),
        replace(request, quantities=("refined",)),
        replace(request, where="height_px > 6"),
    ):
        with pytest.raises(ConfigError, match="holds another export"):
            begin_export(labels, out, other)
    (tmp_path / "out" / "export.json").write_text("no JSON")
    with pytest.raises(ConfigError, match="not readable"):
        begin_export(labels, out, request)
    with pytest.raises(ConfigError, match="no export at"):
        open_export(str(tmp_path))


def test_a_condition_chooses_what_is_exported(labels: Labels, tmp_path: Path) -> None:
    request = ExportRequest("npy", where="height_px >= 9")
    write_pending(begin_export(labels, str(tmp_path / "out"), request), lambda: None)
    chosen = [i for i, m in some_maps().items() if m.shape[0] >= 9]
    assert sorted(open_export(str(tmp_path / "out")).ids) == sorted(chosen)
    catalogue = pq.read_table(io.BytesIO((tmp_path / "out" / "catalogue.parquet").read_bytes()))
    assert sorted(catalogue["id"].to_pylist()) == sorted(chosen)
    with pytest.raises(ConfigError, match=r"nothing to export: .* where height_px > 99"):
        begin_export(labels, str(tmp_path / "none"), replace(request, where="height_px > 99"))


def test_an_export_goes_to_any_storage(labels: Labels) -> None:
    out = "memory://exports/one"
    for format in ("png16", "webdataset"):
        write_pending(begin_export(labels, f"{out}/{format}", ExportRequest(format)), lambda: None)
        read_hw = open_export(f"{out}/{format}").read("f", "refined")
        np.testing.assert_allclose(read_hw, labels["f"].refined, atol=1e-3)
