"""What docs/keeping.md says of copies and of removed labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from redepth.config import Recipe, Storage, load_recipe
from redepth.images.collection import list_images
from redepth.store.dataset import begin
from redepth.store.manifest import read_shard_plans
from redepth.store.planning import plan_labels
from redepth.store.shards import write_shard
from redepth.types import Outcome
from tests.docs.page_samples import CARD, label, write_photograph


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Stand in a folder with eight photographs and an output of two shards."""
    monkeypatch.chdir(tmp_path)
    Path("photographs").mkdir()
    for seed in range(8):
        write_photograph(Path(f"photographs/{seed:04}.png"), seed)
    recipe = load_recipe("mini", ("run.sharding.images_per_shard=4",))
    begin("labels", recipe, [CARD])
    assert label_the_rest(recipe) == 8
    return recipe


def label_the_rest(recipe: Recipe) -> int:
    """Label what has no label, without a model; return how many images that were."""
    plan = plan_labels(list_images("photographs"), "labels", recipe)
    if plan.manifest is not None:
        for shard in read_shard_plans(plan.manifest, 0, plan.num_shards):
            labels = [label(ref, Outcome.REFINED) for ref in shard.images]
            write_shard("labels", shard, labels, Storage())
    return plan.num_pending


def run(*words: str) -> str:
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    return found.output


def digest(labels: str) -> str:
    (line,) = (line for line in run("verify", labels).splitlines() if line.startswith("content"))
    return line


@pytest.mark.usefixtures("recipe")
def test_a_whole_copy_has_the_digest() -> None:
    shutil.copytree("labels", "backup")
    assert digest("backup") == digest("labels")


def test_labels_whose_fragment_is_removed_are_made_again(recipe: Recipe) -> None:
    before = digest("labels")
    gone, _ = sorted(Path("labels/labels").glob("????????????????.parquet"))
    gone.unlink()
    assert digest("labels") != before
    assert gone.stem in run("clean", "labels", "--older-than", "0")
    run("clean", "labels", "--older-than", "0", "--yes")
    assert label_the_rest(recipe) == 4
    assert digest("labels") == before
