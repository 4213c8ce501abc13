"""Outputs of a format version, committed: the promise that all later code reads what they hold.

Each folder of tests/fixtures was written once, by scripts/write_stored_output.py, with the code
that brought its format version, and is never written again. Beside each output lies what that code
read from it: every row, a digest of every map, the content digest. Code that cannot read one of
these any more, or reads something else, breaks the outputs of everybody who has labelled
photographs with that version. Then the code is to be changed, not the fixture. A new format version
adds a folder, and what reads the older ones stays.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redepth.store.layout import FORMAT_VERSION
from redepth.store.reader import open_labels
from redepth.store.verification import verify_labels
from redepth.types import DepthKind
from scripts.write_stored_output import what_is_read

FOLDER = Path(__file__).resolve().parents[1] / "fixtures"
OUTPUTS = sorted(path.parent for path in FOLDER.glob("stored_output_v*/*/dataset.json"))


def name_of(out: Path) -> str:
    return f"{out.parent.name}/{out.name}"


@pytest.mark.parametrize("out", OUTPUTS, ids=name_of)
def test_what_was_stored_is_read_as_it_was_written(out: Path) -> None:
    recorded = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert of_what_was_recorded(what_is_read(str(out)), recorded) == recorded


@pytest.mark.parametrize("out", OUTPUTS, ids=name_of)
def test_nothing_is_wrong_with_it(out: Path) -> None:
    found = verify_labels(str(out))
    assert found.problems == () and found.num_images == 4
    assert found.num_groups == 2, "the retry has a group of its own"


def test_there_is_one_of_the_present_version() -> None:
    versions = {out.parent.name for out in OUTPUTS}
    assert f"stored_output_v{FORMAT_VERSION}" in versions
    for out in OUTPUTS:
        assert f"_v{json.loads((out / 'dataset.json').read_text())['format_version']}" in str(out)


def test_they_hold_every_way_that_a_label_ends() -> None:
    disparity = open_labels(str(FOLDER / "stored_output_v3" / "disparity"))
    by_name = {Path(label.row.uri).stem: label for label in disparity.values()}
    outcomes = {name: str(label.row.outcome) for name, label in by_name.items()}
    assert set(outcomes.values()) == {"refined", "fell_back", "rejected"}
    assert outcomes["notes"] == "rejected"
    assert ".1-" in (by_name["cellar"].row.array_group or ""), "it was tried again"
    metric = open_labels(str(FOLDER / "stored_output_v3" / "metric"))
    kinds = {label.row.kind for label in metric.values()} - {None}
    assert kinds == {DepthKind.METRIC_DEPTH}
    holes = [np.isnan(label.refined).mean() for label in metric.values() if label.row.kind]
    assert 0 < max(holes) < 1


def of_what_was_recorded(read: Any, recorded: Any) -> Any:
    """Return what is read as JSON gives it back, without columns and fields that came later."""
    if isinstance(recorded, dict):
        assert set(recorded) <= set(read), "something is not read any more"
        return {key: of_what_was_recorded(read[key], value) for key, value in recorded.items()}
    if isinstance(recorded, list):
        pairs = zip(read, recorded, strict=True)
        return [of_what_was_recorded(one, value) for one, value in pairs]
    return json.loads(json.dumps(read))
