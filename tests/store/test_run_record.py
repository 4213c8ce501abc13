"""What a run says of its speed, beside its report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from redepth.costing.run_speed import RunSpeed
from redepth.costing.stages import StageSeconds
from redepth.store.objects import open_objects
from redepth.store.run_record import last_speed, put_speed

STAGES = StageSeconds(30, 50.0, 30.0, 6.0, 5.0, 2, 8.0)
SPEED = RunSpeed(2, 4, 10.0, STAGES, "cuda: NVIDIA H200", 0.5)


def test_the_last_run_that_has_written_is_read(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    assert last_speed(objects) is None
    put_speed(objects, "manifest/00000001-a.parquet", RunSpeed(1, 1, 3.0))
    put_speed(objects, "manifest/00000002-b.parquet", SPEED)
    (tmp_path / "reports" / "00000003-c").mkdir()  # it goes on, or was killed
    assert last_speed(objects) == SPEED


@pytest.mark.parametrize(
    "change",
    [
        {"num_actors": "many"},
        {"decoders": 0},
        {"seconds": float("inf")},
        {"device": "x" * 1000},
        {"stages": {"num_staged": 10**400, "model": 1.0}},
        {"stages": {"num_staged": 1, "model": float("nan")}},
    ],
)
def test_a_record_that_no_run_writes_is_passed_over(
    tmp_path: Path, change: dict[str, object]
) -> None:
    objects = open_objects(str(tmp_path))
    put_speed(objects, "manifest/00000001-a.parquet", SPEED)
    (written,) = tmp_path.glob("reports/*/run.json")
    written.write_text(json.dumps(json.loads(written.read_text()) | change))
    assert last_speed(objects) is None
