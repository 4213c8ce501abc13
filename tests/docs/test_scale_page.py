"""docs/results/scale.md says what the model says, and the model counts what the store writes."""

from __future__ import annotations

import sys
from pathlib import Path

import fsspec

sys.path.append(str(Path(__file__).resolve().parents[1] / "store"))

from benchmarks.cost_model import OBJECTS_A_SHARD, bytes_table, hours_table, shard_table
from redepth.store.manifest import ShardPlan
from redepth.store.shards import write_shard
from tests.store.store_samples import images, label, recipe

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "results" / "scale.md").read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_model() -> None:
    for table in (shard_table, bytes_table, hours_table):
        assert "\n".join(table()) in PAGE


def test_a_shard_has_the_objects_that_are_reckoned_with() -> None:
    plan = ShardPlan("a" * 16, "a" * 16, tuple(images(3)))
    write_shard("memory://scale", plan, map(label, plan.images), recipe().labels.storage)
    memory = fsspec.filesystem("memory")
    assert len(memory.find("/scale")) == OBJECTS_A_SHARD
    memory.store.clear()
