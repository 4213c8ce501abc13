"""Prefect sees a bounded number of task runs, however large a collection is."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.label_images import cut_task_runs, shards_at_once
from redepth.config import Sharding
from redepth.store.planning import Plan


@given(st.integers(1, 10_000_000), st.integers(1, 1000))
def test_task_runs_are_few_and_take_every_shard_once(num_shards: int, at_most: int) -> None:
    plan = Plan("manifest/m.parquet", 0, 0, 0, num_shards, 0, {})
    ranges = cut_task_runs(plan, at_most)
    assert 1 <= len(ranges) <= at_most
    assert (ranges[0].first, ranges[-1].stop) == (0, num_shards)
    assert all(one.stop == other.first for one, other in pairwise(ranges))
    sizes = [one.stop - one.first for one in ranges]
    assert max(sizes) - min(sizes) <= 1


def test_no_recipe_asks_for_more_than_a_thousand() -> None:
    with pytest.raises(ValidationError, match="1000"):
        Sharding(max_task_runs=1001)


@given(st.integers(1, 2000), st.integers(1, 500), st.integers(1, 100))
def test_every_actor_has_images_while_a_shard_is_written(
    num_calls: int, num_shards: int, images_per_shard: int
) -> None:
    plan = Plan("manifest/m.parquet", 0, 0, num_shards * images_per_shard, num_shards, 0, {})
    at_once = shards_at_once(plan, num_calls)
    assert (at_once - 1) * images_per_shard >= num_calls
    assert (at_once - 2) * images_per_shard < num_calls
