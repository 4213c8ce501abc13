"""Photographs that were touched, copied or packed anew with the same bytes keep their labels."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redepth.config import Recipe
from redepth.errors import CommitConflict
from redepth.images.locator import relocated
from redepth.store import layout, manifest
from redepth.store.cleaning import find_leftovers, remove_leftovers
from redepth.store.dataset import begin
from redepth.store.kept import kept_words, labels_to_keep
from redepth.store.manifest import ShardPlan
from redepth.store.objects import open_objects
from redepth.store.planning import Plan, plan_labels
from redepth.store.reader import open_labels, summarise
from redepth.store.rows import decode_fragment
from redepth.store.shards import ShardCommit, is_committed, write_shard
from redepth.store.verification import verify_labels
from redepth.types import ImageRef, Label, Outcome
from tests.store.store_samples import (
    CARD,
    images,
    label_of,
    label_or_keep,
    recipe,
    shard_plans,
    touched,
)

STORAGE = recipe().labels.storage
REFS = images(8)
TOMORROW = datetime.now(UTC) + timedelta(days=2)


def labelled(out: str, ended: dict[str, Outcome] | None = None, per_shard: int = 4) -> str:
    """Label eight images for the first time; return the digest of all that is stored."""
    begin(out, recipe(), [CARD])
    for shard in shard_plans(plan_labels(REFS, out, recipe(per_shard))):
        new = [
            label_of(ref, outcome=(ended or {}).get(ref.id, Outcome.REFINED))
            for ref in shard.images
        ]
        write_shard(out, shard, new, STORAGE)
    return verify_labels(out).content_digest


def label_again(
    out: str,
    refs: list[ImageRef],
    contents: dict[str, str] | None = None,
    settings: Recipe | None = None,
    retry: frozenset[Outcome] = frozenset(),
) -> tuple[Plan, list[ShardCommit]]:
    plan = plan_labels(refs, out, settings or recipe(), retry)
    commits = [
        write_shard(out, shard, label_or_keep(out, shard, contents or {}), STORAGE)
        for shard in shard_plans(plan)
    ]
    return plan, commits


def array_groups(out: str) -> set[str]:
    return {name.split("/")[1] for name in open_objects(out).list(layout.ARRAYS, "zarr.json")}


def test_touched_photographs_keep_their_labels_and_nothing_is_left_to_do(out: str) -> None:
    digest, groups = labelled(out), array_groups(out)
    before = {i: open_labels(out)[i] for i in open_labels(out)}
    refs = touched(REFS)
    plan, commits = label_again(out, refs)
    assert (plan.num_changed, plan.num_pending, plan.num_if_changed) == (8, 8, 8)
    assert [commit.num_kept for commit in commits] == [4, 4]
    assert "4 photographs were touched but have the same bytes" in commits[0].words
    assert array_groups(out) == groups, "no pixel was written"
    found = verify_labels(out)
    assert (found.content_digest, found.problems, found.num_groups) == (digest, (), 2)
    again = plan_labels(refs, out, recipe())
    assert (again.num_changed, again.num_pending, again.manifest) == (0, 0, None)
    for ref in refs:
        row, old = open_labels(out)[ref.id].row, before[ref.id]
        assert row == replace(old.row, version=ref.version)
        np.testing.assert_array_equal(open_labels(out)[ref.id].refined, old.refined)
    assert find_leftovers(out, timedelta(0), TOMORROW) == []


def test_one_that_was_overwritten_at_its_size_is_the_only_one_labelled(out: str) -> None:
    labelled(out)
    old = {i: open_labels(out)[i].row for i in open_labels(out)}
    refs = touched(REFS)
    _, commits = label_again(out, refs, {refs[2].id: "other bytes"})
    assert sorted(commit.num_kept for commit in commits) == [3, 4], "in the order of digests"
    rows = {i: open_labels(out)[i].row for i in open_labels(out)}
    made = [i for i, row in rows.items() if row.array_group != old[i].array_group]
    assert made == [refs[2].id]
    assert layout.try_of(rows[refs[2].id].array_group or "").endswith(".1")
    assert rows[refs[2].id].sha256 != old[refs[2].id].sha256
    found = verify_labels(out)
    assert (found.problems, found.num_groups, found.num_images) == ((), 3, 8)


def test_the_labels_are_those_of_a_first_run_over_what_is_there_now(out: str) -> None:
    contents = {REFS[2].id: "other bytes", REFS[5].id: "others"}
    labelled(out)
    label_again(out, touched(REFS), contents)
    found = verify_labels(out)
    fresh = f"{out}-fresh"
    begin(fresh, recipe(), [CARD])
    for shard in shard_plans(plan_labels(REFS[::-1], fresh, recipe(3))):
        new = [label_of(ref, contents.get(ref.id, "")) for ref in shard.images]
        write_shard(fresh, shard, new, STORAGE)
    assert verify_labels(fresh).content_digest == found.content_digest


def test_it_goes_on_over_many_runs_and_cuts(out: str) -> None:
    digest, refs = labelled(out), REFS
    for turn in range(3):
        refs = touched(refs, str(turn))
        _, commits = label_again(out, refs, settings=recipe(turn + 2))
        assert sum(commit.num_kept for commit in commits) == 8
        found = verify_labels(out)
        assert (found.content_digest, found.problems) == (digest, ())
    assert open_labels(out)[REFS[0].id].row.version == refs[0].version


def test_another_size_is_not_even_compared(out: str) -> None:
    labelled(out)
    refs = [ref._replace(size_bytes=7) for ref in REFS]
    shards = shard_plans(plan_labels(refs, out, recipe()))
    assert all(shard.if_changed for shard in shards)
    assert [labels_to_keep(out, shard) for shard in shards] == [{}, {}]


def test_a_size_that_no_listing_tells_is_compared_by_the_bytes(out: str) -> None:
    """Of one of the listings a part is missing: then fingerprints tell nothing, bytes do."""
    begin(out, recipe(), [CARD])
    (shard,) = shard_plans(plan_labels(REFS[:3], out, recipe()))
    unsized = [label_of(ref) for ref in shard.images]
    unsized = [Label(replace(one.row, size_bytes=None), one.arrays) for one in unsized]
    write_shard(out, shard, unsized, STORAGE)
    plan = replace(shard, if_changed=frozenset(ref.id for ref in REFS[:3]))
    assert sorted(labels_to_keep(out, plan)) == sorted(ref.id for ref in REFS[:3])


def test_what_has_no_label_is_tried_again_and_so_is_what_a_retry_asks_for(out: str) -> None:
    ended = {
        REFS[0].id: Outcome.FAILED,
        REFS[1].id: Outcome.REJECTED,
        REFS[2].id: Outcome.FELL_BACK,
    }
    labelled(out, ended)
    refs = touched(REFS[:4])
    plan = plan_labels(refs, out, recipe())
    (shard,) = shard_plans(plan)
    assert (plan.num_changed, plan.num_pending, plan.num_if_changed) == (4, 4, 2)
    assert shard.if_changed == {refs[2].id, refs[3].id}
    (retried,) = shard_plans(plan_labels(refs, out, recipe(), frozenset([Outcome.FELL_BACK])))
    assert retried.if_changed == {refs[3].id}
    assert set(labels_to_keep(out, retried)) == {refs[3].id}
    (alone,) = shard_plans(plan_labels(REFS, out, recipe(), frozenset([Outcome.FAILED])))
    assert alone.if_changed == frozenset(), "nothing was touched"


def test_a_label_without_a_digest_of_its_photograph_is_made_anew(out: str) -> None:
    begin(out, recipe(), [CARD])
    (shard,) = shard_plans(plan_labels(REFS[:3], out, recipe()))
    unknown = [label_of(ref) for ref in shard.images]
    write_shard(
        out, shard, [Label(replace(one.row, sha256=None), one.arrays) for one in unknown], STORAGE
    )
    (again,) = shard_plans(plan_labels(touched(REFS[:3]), out, recipe()))
    assert labels_to_keep(out, again) == {}


def test_photographs_of_a_container_that_was_packed_anew_are_found_at_their_new_place(
    out: str,
) -> None:
    packed = [
        ref._replace(uri=f"tar://{ref.id}::/p.tar", version="1", offset_bytes=512 * (i + 1))
        for i, ref in enumerate(REFS)
    ]
    begin(out, recipe(), [CARD])
    label_again(out, packed)
    turned = [
        ref._replace(version="2", offset_bytes=packed[-1 - i].offset_bytes)
        for i, ref in enumerate(packed)
    ]
    _, commits = label_again(out, turned)
    assert sum(commit.num_kept for commit in commits) == 8
    rows = [open_labels(out)[ref.id].row for ref in turned]
    assert [(row.offset_bytes, row.version) for row in rows] == [
        (ref.offset_bytes, "2") for ref in turned
    ]


def test_kept_labels_that_are_not_there_any_more_are_a_conflict(out: str) -> None:
    labelled(out)
    refs = touched(REFS[:1])
    (shard,) = shard_plans(plan_labels(refs, out, recipe()))
    (old,) = labels_to_keep(out, shard).values()
    for other in (
        replace(old, sha256="0" * 64),
        replace(old, array_index=1),
        replace(old, array_group=f"{shard.shard}-0000000000000000"),
    ):
        with pytest.raises(CommitConflict, match="was to be kept and is not what it was"):
            write_shard(out, shard, [Label(other)], STORAGE)
    assert not is_committed(out, shard)
    new = ShardPlan("f" * 16, "f" * 16, (refs[0]._replace(id="new"),))
    with pytest.raises(CommitConflict, match="was to be kept"):
        write_shard(out, new, [Label(replace(old, id="new"))], STORAGE)


def test_of_two_runs_at_once_one_keeps_them(out: str) -> None:
    digest = labelled(out)
    refs = touched(REFS)
    plans = [shard_plans(plan_labels(refs, out, recipe()))[0] for _ in range(2)]
    labels = [label_or_keep(out, shard, {}) for shard in plans]
    first = write_shard(out, plans[0], labels[0], STORAGE)
    second = write_shard(out, plans[1], labels[1], STORAGE)
    assert (first.num_kept, second.num_kept, second.num_bytes) == (4, 4, 0)
    found = verify_labels(out)
    assert (found.content_digest, found.problems) == (digest, ())


def test_what_one_run_kept_another_has_made_anew(out: str) -> None:
    """The row that was read is not the committed one by the time of the commit."""
    labelled(out)
    refs = touched(REFS[:2])
    (late,) = shard_plans(plan_labels(refs, out, recipe()))
    kept = label_or_keep(out, late, {})
    (soon,) = shard_plans(plan_labels(refs, out, recipe(), frozenset([Outcome.REFINED])))
    write_shard(out, soon, [label_of(ref) for ref in soon.images], STORAGE)
    commit = write_shard(out, late, kept, STORAGE)
    assert (commit.num_kept, commit.num_bytes) == (0, 0), "the one that came first counts"
    assert verify_labels(out).problems == ()


def test_cleaning_after_it_removes_no_pixel_that_is_named(out: str) -> None:
    digest = labelled(out)
    label_again(out, touched(REFS), {REFS[2].id: "other"})
    label_again(out, touched(REFS, "back"), {})
    list(remove_leftovers(out, find_leftovers(out, timedelta(0), TOMORROW)))
    found = verify_labels(out)
    assert (found.content_digest, found.problems) == (digest, ())


def test_status_says_how_many_the_last_run_kept(out: str) -> None:
    labelled(out)
    assert summarise(out).num_kept == 0
    refs = touched(REFS)
    plan = plan_labels(refs, out, recipe())
    holds = {refs[1].id in {ref.id for ref in one.images}: one for one in shard_plans(plan)}
    first, second = holds[True], holds[False]
    write_shard(out, first, label_or_keep(out, first, {refs[1].id: "other"}), STORAGE)
    assert summarise(out).num_kept == 3, "the second shard is not committed yet"
    write_shard(out, second, label_or_keep(out, second, {}), STORAGE)
    assert summarise(out).num_kept == 7
    label_again(out, refs + images(9)[8:])
    assert summarise(out).num_kept == 0, "the last run labelled a new one"


def test_a_manifest_of_before_says_nothing_of_it(out: str) -> None:
    labelled(out)
    plan = plan_labels(touched(REFS), out, recipe())
    assert plan.manifest is not None
    objects, name = open_objects(out), f"manifest/{plan.manifest.rpartition('/')[2]}"
    sink = pa.BufferOutputStream()
    written = pq.read_table(pa.BufferReader(objects.read(name)))
    old = written.drop_columns("if_changed")
    pq.write_table(old, sink)
    objects.put(name, bytes(sink.getvalue()))
    assert {shard.if_changed for shard in shard_plans(plan)} == {frozenset()}
    assert len(manifest.newest_if_changed(objects)) == 0
    assert summarise(out).num_kept == 0
    sink = pa.BufferOutputStream()
    pq.write_table(old.append_column("if_changed", pa.array(["yes"] * len(old))), sink)
    objects.put(name, bytes(sink.getvalue()))
    assert summarise(out).num_kept == 0, "a stranger's"


def test_a_try_in_which_all_were_kept_is_named_in_the_fragment(out: str) -> None:
    labelled(out)
    _, commits = label_again(out, touched(REFS))
    objects = open_objects(out)
    for commit in commits:
        name = layout.fragment_name(commit.shard)
        fragment = decode_fragment(commit.shard, objects.read(name))
        assert fragment.array_groups == (commit.shard, f"{commit.shard}.1")
        assert {layout.try_of(row.array_group or "") for row in fragment.rows()} == {commit.shard}


def test_a_label_is_kept_or_new_and_never_both() -> None:
    made = label_of(REFS[0])
    row = replace(made.row, array_group="s-0", array_index=0)
    assert Label(row).is_kept and not made.is_kept
    with pytest.raises(ValueError, match="has arrays beside"):
        Label(row, made.arrays)
    with pytest.raises(ValueError, match="disagree"):
        Label(replace(row, outcome=Outcome.FAILED))
    assert Label(relocated(row, made.row)).row.array_group == "s-0"


def test_it_is_said_in_words() -> None:
    assert kept_words(0) == ""
    assert kept_words(1) == "1 photograph was touched but has the same bytes: its label was kept"
    assert kept_words(1200) == (
        "1,200 photographs were touched but have the same bytes: their labels were kept"
    )
