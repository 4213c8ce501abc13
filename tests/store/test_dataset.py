"""dataset.json: one recipe and one set of weights an output."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from redepth.config import load_recipe
from redepth.errors import ConfigError, IntegrityError
from redepth.store.dataset import MOST_DIFFERENCES, begin, check_recipe, read_dataset
from redepth.store.objects import open_objects
from redepth.store.reader import open_labels
from tests.store.store_samples import CARD, recipe


def test_what_is_begun_is_read(out: str) -> None:
    begin(out, recipe(seed=3), [CARD])
    dataset = read_dataset(out)
    assert dataset.models == (CARD,)
    assert dataset.recipe["seed"] == 3
    assert dataset.recipe_digest == recipe(seed=3).labels.digest()
    assert dataset.software["zarr"].startswith("3.")
    assert dataset.untrained


def test_beginning_again_keeps_the_first(out: str) -> None:
    begin(out, recipe(), [CARD])
    before = open_objects(out).read("dataset.json")
    begin(out, recipe(images_per_shard=9), [CARD])
    assert open_objects(out).read("dataset.json") == before


def test_another_recipe_is_refused_by_setting(out: str) -> None:
    check_recipe(out, recipe(seed=1))
    begin(out, recipe(), [CARD])
    check_recipe(out, recipe())
    changed = recipe(seed=1, storage={"dtype": "float16"})
    with pytest.raises(ConfigError) as refused:
        check_recipe(out, changed)
    assert "labels.seed: 0 -> 1\n" in str(refused.value)
    assert "labels.storage.dtype: float32 -> float16\n" in str(refused.value)
    assert "use another --out" in str(refused.value)
    with pytest.raises(ConfigError, match=r"labels\.seed"):
        begin(out, changed, [CARD])


def test_another_method_is_named_without_its_settings(out: str) -> None:
    begin(out, load_recipe("mini"), [CARD])
    with pytest.raises(ConfigError) as refused:
        check_recipe(out, load_recipe("betterdepth-mini"))
    said = str(refused.value)
    assert "labels.refiner.method: redepth_anything -> betterdepth\n" in said
    assert "labels.refiner.num_steps" not in said
    assert said.count("\n  ") <= MOST_DIFFERENCES + 1


def test_other_weights_are_refused_by_model(out: str) -> None:
    begin(out, recipe(), [CARD])
    with pytest.raises(IntegrityError, match="coarse model mini has weights bbbbbbbbbbbb"):
        begin(out, recipe(), [replace(CARD, sha256="b" * 64)])


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"{", IntegrityError, "not readable"),
        (b"[]", IntegrityError, "not readable"),
        (b"{}", IntegrityError, "not readable"),
        (json.dumps({"format_version": 2}).encode(), ConfigError, "format version 2"),
    ],
)
def test_a_dataset_that_cannot_be_read_says_so(
    out: str, content: bytes, error: type[Exception], message: str
) -> None:
    open_objects(out).put("dataset.json", content)
    with pytest.raises(error, match=message):
        read_dataset(out)
    with pytest.raises(error, match=message):
        check_recipe(out, recipe())


def test_nothing_there_is_said(out: str) -> None:
    with pytest.raises(ConfigError, match="no labels at"):
        open_labels(out)
