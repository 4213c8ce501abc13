"""Two writers at once: one commit succeeds, nothing is mixed, nothing is added twice."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from redepth.config import LeaseSettings, Storage
from redepth.errors import CommitConflict, LeaseLost
from redepth.store import layout
from redepth.store.conditional_puts import Versioned, put_if_unchanged, read_versioned
from redepth.store.dataset import begin
from redepth.store.lease import output_lease
from redepth.store.manifest import ShardPlan
from redepth.store.objects import Objects, open_objects
from redepth.store.planning import plan_labels
from redepth.store.reader import open_labels
from redepth.store.shards import ShardCommit, write_shard
from redepth.store.verification import verify_labels
from redepth.types import Label, Outcome
from tests.store.store_samples import (
    CARD,
    arrays_of,
    commit_all,
    images,
    label,
    recipe,
    shard_plans,
    with_refined,
)

STORAGE = Storage()
REFS = images(4)


def plan(out: str, per_shard: int = 4, retry: frozenset[Outcome] = frozenset()) -> ShardPlan:
    begin(out, recipe(), [CARD])
    return shard_plans(plan_labels(REFS, out, recipe(per_shard), retry))[0]


def other_labels(shard: ShardPlan) -> list[Label]:
    """Label the same images otherwise, as a run does in which one image failed."""
    ours = [label(ref) for ref in shard.images[1:]]
    changed = [with_refined(one, arrays_of(one)["refined"] + 1) for one in ours]
    return [label(shard.images[0], Outcome.FAILED), *changed]


def test_an_object_is_put_once(out: str) -> None:
    objects = open_objects(out)
    assert put_if_unchanged(objects, "f/a", b"one", None)
    assert not put_if_unchanged(objects, "f/a", b"two", None)
    assert put_if_unchanged(objects, "f/a", b"one", None), "a request that is tried again"
    seen = read_versioned(objects, "f/a")
    assert put_if_unchanged(objects, "f/a", b"three", seen)
    assert not put_if_unchanged(objects, "f/a", b"four", seen)
    assert objects.read("f/a") == b"three"
    seen = read_versioned(objects, "f/a")
    objects.delete("f/a")
    assert not put_if_unchanged(objects, "f/a", b"five", seen)
    assert read_versioned(objects, "f/a") is None


def test_of_many_that_put_at_once_one_succeeds(out: str) -> None:
    """Not in memory: there nobody but this process can put."""
    if out.startswith("memory"):
        pytest.skip("one process's own memory has no second writer")
    start = threading.Barrier(8)

    def write(content: bytes, seen: Versioned | None) -> bool:
        start.wait()
        return put_if_unchanged(open_objects(out), "f/a", content, seen)

    for turn in range(3):
        seen = read_versioned(open_objects(out), "f/a")
        contents = [f"{turn} {number}".encode() for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(write, contents, [seen] * 8))
        assert sum(won) == 1
        assert open_objects(out).read("f/a") == contents[won.index(True)]


def test_who_commits_second_leaves_the_first_as_it_is(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has put all its arrays, which differ, before the first commits."""
    shard = plan(out)
    first = [label(ref) for ref in shard.images]

    def commit_first() -> ShardCommit:
        return write_shard(out, shard, first, STORAGE)

    before_label_part(monkeypatch, commit_first)
    second = write_shard(out, shard, other_labels(shard), STORAGE)
    assert second.num_bytes == 0
    assert second.outcomes[Outcome.REFINED] == 4, "what counts is what the first one committed"
    labels = open_labels(out)
    for one in first:
        np.testing.assert_array_equal(labels[one.row.id].refined, arrays_of(one)["refined"])
    assert verify_labels(out).problems == ()


def test_a_retry_that_comes_second_adds_nothing(out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(out, recipe(), [CARD])
    commit_all(out, REFS, recipe(), {REFS[0].id: Outcome.FAILED})
    shard = plan(out, retry=frozenset([Outcome.FAILED]))
    winner = label(REFS[0])
    before_label_part(monkeypatch, lambda: write_shard(out, shard, [winner], STORAGE))
    lost = write_shard(out, shard, [label(REFS[0], Outcome.FELL_BACK)], STORAGE)
    assert lost.outcomes[Outcome.REFINED] == 1
    np.testing.assert_array_equal(
        open_labels(out)[REFS[0].id].refined, arrays_of(winner)["refined"]
    )
    assert verify_labels(out).problems == ()


def test_a_part_removed_under_a_retry_is_not_brought_back(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(out, recipe(), [CARD])
    commit_all(out, REFS, recipe(), {REFS[0].id: Outcome.FAILED})
    shard = plan(out, retry=frozenset([Outcome.FAILED]))
    part = layout.fragment_name(shard.shard)
    before_label_part(monkeypatch, lambda: open_objects(out).delete(part))
    with pytest.raises(CommitConflict, match="changed by another run"):
        write_shard(out, shard, [label(REFS[0])], STORAGE)
    assert read_versioned(open_objects(out), part) is None


def test_the_run_of_an_older_plan_stops_where_a_newer_one_cuts_otherwise(out: str) -> None:
    older = plan(out, per_shard=4)
    newer = plan(out, per_shard=2)
    write_shard(out, newer, [label(ref) for ref in newer.images], STORAGE)
    with pytest.raises(CommitConflict, match=r"planned again .* another run has taken over"):
        write_shard(out, older, [label(ref) for ref in older.images], STORAGE)
    assert sorted(open_labels(out)) == sorted(ref.id for ref in newer.images)
    assert plan_labels(REFS, out, recipe(2)).num_pending == 2


def test_plans_that_cut_alike_do_not_stop_each_other(out: str) -> None:
    older, newer = plan(out), plan(out)
    assert older.shard == newer.shard
    assert older.manifest is not None and newer.manifest is not None
    assert older.manifest < newer.manifest
    commit = write_shard(out, older, [label(ref) for ref in older.images], STORAGE)
    again = write_shard(out, newer, iter(()), STORAGE)
    assert again == replace(commit, num_bytes=0)


@pytest.mark.parametrize("at_the_commit", [False, True])
def test_an_output_that_was_removed_meanwhile_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_the_commit: bool
) -> None:
    url = str(tmp_path / "labels")
    begin(url, recipe(), [CARD])
    shard = plan(url)
    if at_the_commit:
        before_label_part(monkeypatch, lambda: shutil.rmtree(url))
    else:
        shutil.rmtree(url)
    with pytest.raises(CommitConflict, match="the output was removed"):
        write_shard(url, shard, [label(ref) for ref in shard.images], STORAGE)
    assert not Path(url, "labels").exists()
    if not at_the_commit:
        assert not Path(url).exists()


def test_a_lease_that_was_removed_with_its_output_does_not_bring_it_back(tmp_path: Path) -> None:
    out = tmp_path / "labels"
    with output_lease(str(out), LeaseSettings(ttl_s=1.0), "a run") as lease:
        shutil.rmtree(out)
        deadline = time.monotonic() + 5
        with pytest.raises(LeaseLost, match="or it was removed"):
            while time.monotonic() < deadline:
                lease.require()
                time.sleep(0.1)
    assert not out.exists()


def before_label_part(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let somebody else act once, when all arrays of the first writer are there."""
    real = Objects.put
    once: Iterator[Callable[[], object]] = iter([act])

    def put(self: Objects, name: str, *rest: Any) -> None:
        real(self, name, *rest)
        if name.startswith(f"{layout.ARRAYS}/") and name.count("/") == 2:
            next(once, lambda: None)()

    monkeypatch.setattr(Objects, "put", put)
