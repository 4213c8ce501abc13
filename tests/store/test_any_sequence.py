"""Any sequence of plans, commits, kills, retries, touches, re-cuts and clean-ups keeps the promise.

The model is a dictionary: what was committed of each image, and of which bytes; only a retry or
other bytes may change it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import fsspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from redepth.errors import CommitConflict, TransientError
from redepth.store.catalogue import fragment_names
from redepth.store.cleaning import find_leftovers, remove_leftovers
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.objects import Objects, open_objects
from redepth.store.planning import plan_labels
from redepth.store.reader import open_labels
from redepth.store.rows import decode_fragment
from redepth.store.shards import write_shard
from redepth.store.verification import verify_labels
from redepth.types import ImageRef, Label, Outcome
from tests.store.store_samples import CARD, images, label_or_keep, recipe, shard_plans

STORAGE = recipe().labels.storage
NUM_IMAGES = 8
LATER = datetime.now(UTC) + timedelta(days=2)
AGAIN = (Outcome.FAILED, Outcome.REJECTED, Outcome.FELL_BACK)


class Output(RuleBasedStateMachine):
    """One output in memory; plans that were made stay around and may be worked on much later."""

    plans = Bundle("plans")

    @initialize()
    def begin(self) -> None:
        self.out = f"memory://{uuid.uuid4().hex}/labels"
        self.expected: dict[str, tuple[Outcome, str | None]] = {}
        self.contents = {ref.id: "" for ref in images(NUM_IMAGES)}
        self.times_touched = dict.fromkeys(self.contents, 0)
        begin(self.out, recipe(), [CARD])

    @rule(
        target=plans,
        num_listed=st.integers(4, NUM_IMAGES),
        per_shard=st.integers(1, 5),
        retry=st.frozensets(st.sampled_from(AGAIN)),
    )
    def plan(self, num_listed: int, per_shard: int, retry: frozenset[Outcome]) -> object:
        plan = plan_labels(self.listed(num_listed), self.out, recipe(per_shard), retry)
        shards = shard_plans(plan)
        planned = [ref.id for shard in shards for ref in shard.images]
        assert len(planned) == len(set(planned)) == plan.num_pending
        new = {ref.id for ref in images(num_listed)} - self.expected.keys()
        again = {i for i, (outcome, _) in self.expected.items() if outcome in retry}
        touched = {i for i, times in self.times_touched.items() if times}
        assert new <= set(planned) <= new | again | touched
        compared = set[str]().union(*(shard.if_changed for shard in shards))
        assert compared <= touched - again
        return multiple(*shards)

    def listed(self, number: int) -> list[ImageRef]:
        return [
            ref._replace(version=f"{ref.version}.{self.times_touched[ref.id]}")
            for ref in images(number)
        ]

    @rule(number=st.integers(0, NUM_IMAGES - 1), overwrites=st.booleans())
    def touch(self, number: int, overwrites: bool) -> None:
        """Touch a photograph, or write another one of its size over it."""
        image_id = images(NUM_IMAGES)[number].id
        self.times_touched[image_id] += 1
        if overwrites:
            self.contents[image_id] += "x"

    @rule(shard=plans, outcomes=st.lists(st.sampled_from(Outcome), min_size=5, max_size=5))
    def commit(self, shard: ShardPlan, outcomes: list[Outcome]) -> None:
        """Commit a shard of any plan, an old one too; twice as well."""
        before = dict(self.expected)
        ids = [ref.id for ref in shard.images]
        ended = dict(zip(ids, outcomes, strict=False))
        labels = label_or_keep(self.out, shard, self.contents, ended)
        try:
            commit = write_shard(self.out, shard, labels, STORAGE)
        except CommitConflict:
            return
        if commit.num_bytes:
            assert commit.num_kept == sum(one.is_kept for one in labels)
            assert all(before[one.row.id] == said_of(one) for one in labels if one.is_kept)
            self.expected |= {one.row.id: said_of(one) for one in labels}
            again = [i for i in shard.images if i.id in before]
            assert bool(again) == shard.is_retry

    @rule(shard=consumes(plans), num_puts=st.integers(0, 10))
    def kill(self, shard: ShardPlan, num_puts: int) -> None:
        """Be killed at any put. Past the last one, it is committed: then the model knows it."""
        all_fall_back = {ref.id: Outcome.FELL_BACK for ref in shard.images}
        labels = label_or_keep(self.out, shard, self.contents, all_fall_back)
        try:
            with killed_after(num_puts):
                commit = write_shard(self.out, shard, labels, STORAGE)
        except (TransientError, CommitConflict):
            return
        if commit.num_bytes:
            self.expected |= {one.row.id: said_of(one) for one in labels}

    @rule(number=st.integers(0, 20))
    def remove_a_part(self, number: int) -> None:
        """Do what an error message tells people to do: remove a fragment to have it redone."""
        objects = open_objects(self.out)
        names = fragment_names(objects)
        if names:
            name = names[number % len(names)]
            for row in decode_fragment(name, objects.read(name)).rows():
                del self.expected[row.id]
            objects.delete(name)

    @rule()
    def clean(self) -> None:
        found = find_leftovers(self.out, timedelta(0), LATER)
        assert list(remove_leftovers(self.out, found)) == found
        assert find_leftovers(self.out, timedelta(0), LATER) == []

    @invariant()
    def every_image_once_as_it_was_committed(self) -> None:
        found = verify_labels(self.out)
        assert found.problems == ()
        labels = open_labels(self.out)
        rows = {i: labels[i].row for i in labels}
        assert {i: (row.outcome, row.sha256) for i, row in rows.items()} == self.expected
        assert found.num_images == len(self.expected)

    def teardown(self) -> None:
        fsspec.filesystem("memory").store.clear()


def said_of(one: Label) -> tuple[Outcome, str | None]:
    """Return what the model knows of a label."""
    return one.row.outcome, one.row.sha256


@contextmanager
def killed_after(num_puts: int) -> Iterator[None]:
    """Fail at the put after so many."""
    real, left = Objects.put, [num_puts]

    def put(self: Objects, name: str, *rest: Any) -> None:
        if left[0] == 0:
            raise TransientError("killed")
        left[0] -= 1
        real(self, name, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objects, "put", put)
        yield


Output.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
test_any_sequence = Output.TestCase
