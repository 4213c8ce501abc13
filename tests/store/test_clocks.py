"""Machines whose clocks are wrong: plans keep their order, and nobody waits for a day to come."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from redepth.errors import CommitConflict
from redepth.store import manifest
from redepth.store.dataset import begin
from redepth.store.manifest import is_newer, newest_manifest, planned_at
from redepth.store.objects import open_objects
from redepth.store.planning import Plan, plan_labels
from redepth.store.reader import open_labels, summarise
from redepth.store.shards import write_shard
from redepth.store.verification import verify_labels
from tests.store.store_samples import CARD, commit_all, images, label, recipe, shard_plans

REFS = images(8)
STORAGE = recipe().labels.storage


@pytest.fixture(autouse=True)
def _begun(out: str) -> None:
    begin(out, recipe(), [CARD])


def set_clock(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    monkeypatch.setattr(manifest, "_now", lambda: datetime.now(UTC) + ahead)


def plan(out: str, per_shard: int = 4) -> Plan:
    return plan_labels(REFS, out, recipe(per_shard))


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(minutes=7), timedelta(days=-400)])
def test_a_plan_of_a_machine_with_a_wrong_clock_stops_no_later_run(
    out: str, ahead: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, ahead)
    wrong = plan(out)
    set_clock(monkeypatch, timedelta())
    later = plan(out, per_shard=2)
    assert newest_manifest(open_objects(out)) == f"manifest/{str(later.manifest).split('/')[-1]}"
    for shard in shard_plans(later):
        write_shard(out, shard, [label(ref) for ref in shard.images], STORAGE)
    assert sorted(open_labels(out)) == sorted(ref.id for ref in REFS)
    assert summarise(out).num_left == 0
    stopped = shard_plans(wrong)[0]
    with pytest.raises(CommitConflict, match="planned again"):
        write_shard(out, stopped, [label(ref) for ref in stopped.images], STORAGE)
    assert verify_labels(out).problems == ()


def test_a_manifest_from_the_future_is_named(
    out: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    set_clock(monkeypatch, timedelta(days=1))
    wrong = plan(out)
    set_clock(monkeypatch, timedelta())
    with caplog.at_level(logging.WARNING, "redepth.store.manifest"):
        plan(out, per_shard=2)
    (record,) = caplog.records
    assert str(wrong.manifest).rpartition("/")[2] in record.getMessage()
    assert "Set the clocks" in record.getMessage()


def test_clocks_that_differ_by_minutes_are_not_worth_a_word(
    out: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    set_clock(monkeypatch, timedelta(minutes=4))
    plan(out)
    set_clock(monkeypatch, timedelta())
    with caplog.at_level(logging.WARNING, "redepth.store.manifest"):
        commit_all(out, REFS, recipe(2))
    assert caplog.records == []


def test_names_that_no_plan_gives_are_passed_over(out: str) -> None:
    objects = open_objects(out)
    for name in (
        "99991231T000000000000Z-abc",
        "zzz",
        "99999999-20269999T000000000000Z-" + 12 * "a",
    ):
        objects.put(f"manifest/{name}.parquet", b"")
    assert newest_manifest(objects) is None
    commit_all(out, REFS, recipe())
    assert len(open_labels(out)) == len(REFS)


def test_numbers_are_compared_as_numbers(out: str) -> None:
    objects = open_objects(out)
    last = f"manifest/99999999-20260102T030405000006Z-{12 * 'a'}.parquet"
    objects.put(last, b"")
    later = str(plan(out).manifest)
    assert is_newer(later, last)
    assert newest_manifest(objects) == f"manifest/{later.rpartition('/')[2]}"
    assert planned_at(last) == datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_of_two_plans_with_one_number_all_see_the_same_one_win() -> None:
    first, second = (f"manifest/00000002-2026010{d}T030405000006Z-{12 * 'a'}.parquet" for d in "12")
    assert is_newer(second, first)
    assert not is_newer(first, second)
    assert not is_newer(first, first)
