"""A collection is listed once, by whoever starts the run."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from redepth.config import load_recipe
from redepth.store.planning import draft_plan
from redepth.types import ImageRef
from tasks import plan_shards as room
from tests.store.store_samples import commit_all, images

RECIPE = load_recipe("mini")


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> Mock:
    listed = Mock(return_value=images(6))
    monkeypatch.setattr(room, "list_images", listed)
    monkeypatch.setattr(room, "get_run_logger", Mock())
    return listed


def test_a_plan_that_was_made_before_is_taken(tmp_path: Path, listing: Mock) -> None:
    out = str(tmp_path)
    with draft_plan(images(6), out, RECIPE) as draft:
        plan = room.plan_shards.fn("photos", out, RECIPE, None, frozenset(), draft)
    assert plan.manifest is not None and plan.num_pending == 6
    listing.assert_not_called()


def test_a_plan_from_before_a_commit_is_made_again(tmp_path: Path, listing: Mock) -> None:
    out = str(tmp_path)
    refs: list[ImageRef] = images(6)
    with draft_plan(refs, out, RECIPE) as draft:
        commit_all(out, refs[:2], RECIPE)
        plan = room.plan_shards.fn("photos", out, RECIPE, None, frozenset(), draft)
    assert plan.num_pending == 4
    listing.assert_called_once()
