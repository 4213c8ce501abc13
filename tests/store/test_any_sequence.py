"""Any sequence of plans, commits, kills, retries, re-cuts and clean-ups keeps the promise.

The model is a dictionary: what was committed of each image, which only a retry may change.
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
from redepth.types import Outcome
from tests.store.store_samples import CARD, images, label, recipe, shard_plans

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
        self.expected: dict[str, Outcome] = {}
        begin(self.out, recipe(), [CARD])

    @rule(
        target=plans,
        num_listed=st.integers(4, NUM_IMAGES),
        per_shard=st.integers(1, 5),
        retry=st.frozensets(st.sampled_from(AGAIN)),
    )
    def plan(self, num_listed: int, per_shard: int, retry: frozenset[Outcome]) -> object:
        plan = plan_labels(images(num_listed), self.out, recipe(per_shard), retry)
        shards = shard_plans(plan)
        planned = [ref.id for shard in shards for ref in shard.images]
        assert len(planned) == len(set(planned)) == plan.num_pending
        new = {ref.id for ref in images(num_listed)} - self.expected.keys()
        again = {i for i, outcome in self.expected.items() if outcome in retry}
        assert new <= set(planned) <= new | again
        return multiple(*shards)

    @rule(shard=plans, outcomes=st.lists(st.sampled_from(Outcome), min_size=5, max_size=5))
    def commit(self, shard: ShardPlan, outcomes: list[Outcome]) -> None:
        """Commit a shard of any plan, an old one too; twice as well."""
        before = dict(self.expected)
        labels = [label(ref, how) for ref, how in zip(shard.images, outcomes, strict=False)]
        try:
            commit = write_shard(self.out, shard, labels, STORAGE)
        except CommitConflict:
            return
        if commit.num_bytes:
            self.expected |= {one.row.id: one.row.outcome for one in labels}
            again = [i for i in shard.images if i.id in before]
            assert bool(again) == shard.is_retry

    @rule(shard=consumes(plans), num_puts=st.integers(0, 10))
    def kill(self, shard: ShardPlan, num_puts: int) -> None:
        """Be killed at any put. Past the last one, it is committed: then the model knows it."""
        labels = [label(ref, Outcome.FELL_BACK) for ref in shard.images]
        try:
            with killed_after(num_puts):
                commit = write_shard(self.out, shard, labels, STORAGE)
        except (TransientError, CommitConflict):
            return
        if commit.num_bytes:
            self.expected |= {ref.id: Outcome.FELL_BACK for ref in shard.images}

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
        assert {i: labels[i].row.outcome for i in labels} == self.expected
        assert found.num_images == len(self.expected)

    def teardown(self) -> None:
        fsspec.filesystem("memory").store.clear()


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
