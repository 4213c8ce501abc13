"""What no label has a value of is left out of an export, and said; never a map of zeros."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from flows import terminal
from redepth.errors import ConfigError
from redepth.exports.reading import open_export
from redepth.exports.request import ExportRequest
from redepth.exports.writing import export_labels
from redepth.store.dataset import begin
from redepth.store.planning import plan_labels
from redepth.store.reader import Labels, open_labels
from redepth.store.shards import write_shard
from redepth.types import ImageRef, Label, Outcome
from tests.exports.export_samples import HOLDING_NUMBERS
from tests.store.store_samples import CARD, image, images, label, recipe, shard_plans

NUM = 6


def write_labels(out: str, sure: frozenset[int], retry: frozenset[Outcome] = frozenset()) -> Labels:
    """Commit labels of which only those with these numbers have spread and confidence."""
    begin(out, recipe(), [CARD])
    for shard in shard_plans(plan_labels(images(NUM), out, recipe(), retry)):
        made = [made_label(ref, sure) for ref in shard.images]
        write_shard(out, shard, made, recipe().labels.storage)
    return open_labels(out)


def made_label(ref: ImageRef, sure: frozenset[int]) -> Label:
    is_sure = ref.id in {image(number).id for number in sure}
    return label(ref, Outcome.REFINED if is_sure else Outcome.FELL_BACK, single=not is_sure)


@pytest.mark.parametrize("format", HOLDING_NUMBERS)
def test_a_set_without_confidence_is_exported_without_it(
    format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = write_labels(str(tmp_path / "labels"), frozenset())
    out = tmp_path / "out"
    exported = export_labels(labels, str(out), ExportRequest(format))
    assert exported.num_images == NUM
    assert list(exported.absent) == ["confidence"]
    terminal.print_export(str(out), exported)
    assert "has a confidence: it takes an ensemble of two or more" in capsys.readouterr().out
    export = open_export(str(out))
    assert list(export.facts["quantities"]) == ["refined"]
    assert list(export.facts["absent"]) == ["confidence"]
    assert not (out / "confidence").exists()
    stored = labels[image(0).id].refined
    np.testing.assert_allclose(export.read(image(0).id, "refined"), stored, atol=1e-3)
    with pytest.raises(LookupError, match=r"no confidence: .*ensemble of two or more"):
        export.read(image(0).id, "confidence")


@pytest.mark.parametrize("format", HOLDING_NUMBERS)
def test_one_label_with_confidence_brings_it_back(format: str, tmp_path: Path) -> None:
    """Also into what was exported before: every piece is written anew, with it."""
    url, out = str(tmp_path / "labels"), str(tmp_path / "out")
    request = ExportRequest(format)
    export_labels(write_labels(url, frozenset()), out, request)
    again = write_labels(url, frozenset({5}), retry=frozenset({Outcome.FELL_BACK}))
    exported = export_labels(again, out, request)
    assert not exported.absent and exported.num_images == NUM
    export = open_export(out)
    for number in range(NUM):
        read_hw = export.read(image(number).id, "confidence")
        assert np.isfinite(read_hw).any() == (number == 5)
    assert json.loads((tmp_path / "out" / "export.json").read_text())["absent"] == {}


def test_nothing_but_what_is_absent_is_refused(tmp_path: Path) -> None:
    labels = write_labels(str(tmp_path / "labels"), frozenset())
    request = ExportRequest("png16", ("confidence", "spread"))
    with pytest.raises(ConfigError, match=r"nothing to export: spread: no label.*; confidence: no"):
        export_labels(labels, str(tmp_path / "out"), request)
    assert not (tmp_path / "out").exists()


def test_the_pixels_count_where_the_rows_say_nothing(tmp_path: Path) -> None:
    """The means of these rows are null, as an older redepth may have left them."""
    labels = write_labels(str(tmp_path / "labels"), frozenset(range(NUM)))
    assert labels.table(["mean_confidence"])["mean_confidence"].null_count == NUM
    assert labels.absent == {}
    assert list(write_labels(str(tmp_path / "none"), frozenset()).absent) == [
        "spread",
        "confidence",
    ]
