"""Committing: all or nothing, the same bytes again, and every image exactly once."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redepth.config import Storage
from redepth.errors import CommitConflict, ConfigError, IntegrityError, TransientError
from redepth.store import layout
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.objects import Objects, open_objects
from redepth.store.planning import plan_labels
from redepth.store.reader import StoredLabel, open_labels
from redepth.store.rows import decode_fragment
from redepth.store.shards import is_committed, write_shard
from redepth.types import DepthKind, FloatMap, Label, LabelRow, Outcome
from tests.store.store_samples import (
    CARD,
    arrays_of,
    commit_all,
    image,
    images,
    label,
    maps,
    recipe,
    shard_plans,
    with_refined,
)

OBJECTS_OF_A_SHARD = 10  # four arrays of two objects, the group, the fragment
STORAGE = Storage()


SHARD = "0" * 16


def plan_of(num: int, group: str = SHARD) -> ShardPlan:
    return ShardPlan(SHARD, group, tuple(images(num)))


def stored_objects(out: str) -> dict[str, bytes]:
    objects = open_objects(out)
    paths = objects.fs.find(objects.path)
    return {path.removeprefix(objects.path): objects.fs.cat_file(path) for path in paths}


Opened = dict[str, tuple[LabelRow, FloatMap | None]]


def opened(out: str) -> Opened:
    return {
        key: (one.row, one.refined if one.row.array_group else None)
        for key, one in open_labels(out).items()
    }


label_shapes = st.lists(
    st.tuples(
        st.sampled_from(Outcome),
        st.tuples(st.integers(1, 12), st.integers(1, 12)),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=20)
@given(shapes=label_shapes, dtype=st.sampled_from(["float32", "float16"]), turned=st.booleans())
def test_what_goes_in_comes_out(
    new_output: Callable[[], str],
    shapes: list[tuple[Outcome, tuple[int, int], bool]],
    dtype: str,
    turned: bool,
) -> None:
    out = new_output()
    begin(out, recipe(), [CARD])
    plan = plan_of(len(shapes))
    given_labels = [
        label(ref, outcome, size, single=single)
        for ref, (outcome, size, single) in zip(plan.images, shapes, strict=True)
    ]
    stored_dtype = Storage(dtype=dtype)
    write_shard(out, plan, given_labels[::-1] if turned else given_labels, stored_dtype)

    labels = open_labels(out)
    assert list(labels) == [ref.id for ref in plan.images]
    for one in given_labels:
        _assert_same(labels[one.row.id], one, dtype)


def _assert_same(stored: StoredLabel, one: Label, dtype: str) -> None:
    row = replace(stored.row, shard=None, array_group=None, array_index=None)
    assert row == one.row
    assert stored.row.shard == SHARD
    if one.arrays is None:
        assert stored.row.array_group is None
        with pytest.raises(LookupError, match=one.row.reason):
            _ = stored.refined
        return
    assert tuple(stored.quantities) == tuple(one.arrays)
    for quantity, came_in in one.arrays.items():
        is_half = quantity in ("spread", "confidence") or dtype == "float16"
        expected = came_in.astype(np.float16).astype(np.float32) if is_half else came_in
        came = stored[quantity]
        assert came.dtype == np.float32
        # Shape and all: nothing of the padding, which is NaN, is there.
        np.testing.assert_array_equal(came, expected)


def test_values_at_the_edge_of_float32_survive(out: str) -> None:
    begin(out, recipe(), [CARD])
    plan = plan_of(1)
    one = label(plan.images[0], size=(2, 3))
    extreme = np.array([[-0.0, 1e-45, 3.4e38], [np.pi, -1e30, 7.0]], dtype=np.float32)
    write_shard(out, plan, [with_refined(one, extreme)], STORAGE)
    came = open_labels(out)[one.row.id].refined
    assert came.tobytes() == extreme.tobytes()


def test_an_ensemble_of_one_has_no_confidence(out: str) -> None:
    begin(out, recipe(), [CARD])
    plan = plan_of(2)
    write_shard(out, plan, [label(ref, single=True) for ref in plan.images], STORAGE)
    one = open_labels(out)[plan.images[1].id]
    assert np.isnan(one.confidence).all() and np.isnan(one.spread).all()
    assert np.isfinite(one.refined).all()


def test_no_label_no_arrays(out: str) -> None:
    plan = plan_of(2)
    commit = write_shard(out, plan, [label(ref, Outcome.REJECTED) for ref in plan.images], STORAGE)
    assert commit.words == "2 rejected"
    assert [name for name in stored_objects(out) if "arrays" in name] == []
    assert is_committed(out, plan)


@pytest.mark.parametrize("num_puts", range(OBJECTS_OF_A_SHARD))
def test_a_writer_killed_at_any_put_leaves_nothing_to_read(
    out: str, num_puts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(out, recipe(), [CARD])
    commit_all(out, images(4), recipe())
    before = opened(out)
    plan = plan_labels(images(8), out, recipe())
    (shard,) = shard_plans(plan)
    labels = [label(ref) for ref in shard.images]

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "put", _failing_after(num_puts))
        with pytest.raises(TransientError):
            write_shard(out, shard, labels, STORAGE)
    assert not is_committed(out, shard)
    assert_same_output(opened(out), before)
    assert plan_labels(images(8), out, recipe()).num_pending == 4

    write_shard(out, shard, labels, STORAGE)
    assert len(opened(out)) == 8


def _failing_after(num_puts: int) -> Callable[..., None]:
    real, done = Objects.put, Counter[str]()

    def put(self: Objects, name: str, *rest: Any) -> None:
        if done["puts"] == num_puts:
            raise TransientError("killed")
        done["puts"] += 1
        real(self, name, *rest)

    return put


def assert_same_output(one: Opened, other: Opened) -> None:
    assert one.keys() == other.keys()
    for key, (row, refined) in one.items():
        assert row == other[key][0]
        np.testing.assert_array_equal(refined, other[key][1])


def test_the_number_of_puts_is_the_one_tested_above(out: str) -> None:
    plan = plan_of(3)
    write_shard(out, plan, [label(ref) for ref in plan.images], STORAGE)
    assert len(stored_objects(out)) == OBJECTS_OF_A_SHARD


def test_the_label_part_is_put_last_and_the_group_before_it(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    real = Objects.put

    def put(self: Objects, name: str, *rest: Any) -> None:
        names.append(name)
        real(self, name, *rest)

    monkeypatch.setattr(Objects, "put", put)
    plan = plan_of(3)
    write_shard(out, plan, [label(ref) for ref in plan.images], STORAGE)
    part = decode_fragment(SHARD, open_objects(out).read(names[-1]))
    (named,) = {row.array_group for row in part.rows()}
    assert names[-2:] == [f"arrays/{named}/zarr.json", f"labels/{SHARD}.parquet"]
    assert named is not None and named.startswith(f"{SHARD}-")


def test_the_same_labels_are_the_same_bytes(new_output: Callable[[], str]) -> None:
    first, second = new_output(), new_output()
    plan = plan_of(5)
    labels = [label(ref, size=(40 + i, 50)) for i, ref in enumerate(plan.images)]
    write_shard(first, plan, labels, STORAGE)
    write_shard(second, plan, iter(labels[::-1]), STORAGE)
    assert stored_objects(first) == stored_objects(second)


def test_a_committed_shard_is_left_as_it_is(out: str) -> None:
    plan = plan_of(3)
    commit = write_shard(out, plan, [label(ref) for ref in plan.images], STORAGE)
    before = stored_objects(out)
    again = write_shard(out, plan, iter(()), STORAGE)
    assert again == replace(commit, num_bytes=0)
    assert stored_objects(out) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda labels: labels[:-1], "1 of 3 labels are missing"),
        (lambda labels: [*labels, labels[0]], "came twice"),
        (lambda labels: [*labels, label(image(99))], "was not planned"),
        (
            lambda labels: [
                replace(labels[0], row=replace(labels[0].row, height_px=7)),
                *labels[1:],
            ],
            "the row says 7 x 9 px",
        ),
        (
            lambda labels: [
                replace(labels[0], row=replace(labels[0].row, kind=DepthKind.METRIC_DEPTH)),
                *labels[1:],
            ],
            "one kind of map",
        ),
    ],
)
def test_labels_that_are_not_the_plans_are_refused(
    out: str, change: Callable[[list[Label]], list[Label]], message: str
) -> None:
    plan = plan_of(3)
    with pytest.raises(IntegrityError, match=message):
        write_shard(out, plan, change([label(ref) for ref in plan.images]), STORAGE)
    assert stored_objects(out) == {}


def test_a_value_too_large_for_float16_is_refused(out: str) -> None:
    plan = plan_of(1)
    one = label(plan.images[0], size=(2, 2))
    large = with_refined(one, np.full((2, 2), 7e4, np.float32))
    with pytest.raises(ConfigError, match=r"refined reaches 7e\+04, .* labels.storage.dtype"):
        write_shard(out, plan, [large], Storage(dtype="float16"))


def test_a_retry_replaces_failed_rows_and_keeps_good_ones(out: str) -> None:
    begin(out, recipe(), [CARD])
    refs = images(8)
    failed = {refs[1].id: Outcome.FAILED, refs[2].id: Outcome.FAILED, refs[6].id: Outcome.FAILED}
    commit_all(out, refs, recipe(), failed)
    before, bytes_before = opened(out), stored_objects(out)

    still_failing = {refs[2].id: Outcome.FAILED}
    commits = commit_all(out, refs, recipe(), still_failing, retry=[Outcome.FAILED])
    after, bytes_after = opened(out), stored_objects(out)

    assert sum(commit.outcomes[Outcome.REFINED] for commit in commits) == 2
    assert list(after) == list(before)
    for key in before.keys() - failed.keys():
        assert after[key][0] == before[key][0]
    assert after[refs[2].id][0].outcome is Outcome.FAILED
    for row in (after[refs[1].id][0], after[refs[6].id][0]):
        assert row.array_group is not None and row.array_group.startswith(f"{row.shard}.1-")
    for name, content in bytes_before.items():
        if "/labels/" not in name:
            assert bytes_after[name] == content
    np.testing.assert_array_equal(after[refs[1].id][1], arrays_of(label(refs[1]))["refined"])


def test_tries_without_a_label_count_as_tries(out: str) -> None:
    begin(out, recipe(), [CARD])
    refs, failing = images(3), {image(0).id: Outcome.FAILED}
    commit_all(out, refs, recipe(), failing)
    commit_all(out, refs, recipe(), failing, retry=[Outcome.FAILED])
    plan = plan_labels(refs, out, recipe(), frozenset([Outcome.FAILED]))
    (shard,) = shard_plans(plan)
    assert shard.array_group == f"{shard.shard}.2"
    assert [ref.id for ref in shard.images] == [refs[0].id]


@pytest.mark.parametrize("num_puts", range(OBJECTS_OF_A_SHARD))
def test_a_retry_killed_at_any_put_changes_nothing(
    out: str, num_puts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(out, recipe(), [CARD])
    refs = images(4)
    commit_all(out, refs, recipe(), {refs[0].id: Outcome.FAILED})
    before = opened(out)
    monkeypatch.setattr(Objects, "put", _failing_after(num_puts))
    (shard,) = shard_plans(plan_labels(refs, out, recipe(), frozenset([Outcome.FAILED])))
    with pytest.raises(TransientError):
        write_shard(out, shard, [label(refs[0])], STORAGE)
    assert_same_output(opened(out), before)


def test_a_retry_of_a_shard_that_changed_is_a_conflict(out: str) -> None:
    refs = images(4)
    commit_all(out, refs, recipe(), {refs[0].id: Outcome.FAILED})
    (shard,) = shard_plans(plan_labels(refs, out, recipe(), frozenset([Outcome.FAILED])))
    late = replace(shard, array_group=f"{shard.shard}.2")
    with pytest.raises(CommitConflict, match="plan again"):
        write_shard(out, late, [label(refs[0])], STORAGE)
    open_objects(out).delete(layout.fragment_name(shard.shard))
    with pytest.raises(CommitConflict, match="not committed any more"):
        write_shard(out, shard, [label(refs[0])], STORAGE)


def test_full_maps_are_let_go_as_they_come(out: str) -> None:
    plan = plan_of(5)
    seen: list[weakref.ref[np.ndarray]] = []
    num_alive: list[int] = []

    def lazily() -> Iterator[Label]:
        for ref in plan.images:
            num_alive.append(sum(map_hw() is not None for map_hw in seen))
            one = label(ref)
            seen.append(weakref.ref(arrays_of(one)["refined"]))
            yield one
            del one

    write_shard(out, plan, lazily(), STORAGE)
    assert max(num_alive) <= 1, "no more than the one before"


def test_maps_of_the_caller_are_not_kept(out: str) -> None:
    plan = plan_of(2)
    shared = maps(0, 6, 9)

    def one_buffer() -> Iterator[Label]:
        for i, ref in enumerate(plan.images):
            shared["refined"][:] = i + 1
            yield Label(label(ref).row, shared)

    begin(out, recipe(), [CARD])
    write_shard(out, plan, one_buffer(), STORAGE)
    labels = open_labels(out)
    assert [float(labels[ref.id].refined.mean()) for ref in plan.images] == [1.0, 2.0]
