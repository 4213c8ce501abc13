"""Choosing labels by a condition: which rows, what it costs, and what is refused."""

from __future__ import annotations

import builtins
import pickle
from typing import Any

import pyarrow.dataset as pads
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from redepth.errors import ConfigError
from redepth.store.conditions import check_condition, rows_where
from redepth.store.dataset import begin
from redepth.store.objects import Objects
from redepth.store.reader import Labels, open_labels
from redepth.store.rows import SCHEMA
from redepth.types import Outcome
from tests.store.store_samples import CARD, arrays_of, commit_all, image, images, label, recipe

ENDED = {image(2).id: Outcome.FAILED, image(6).id: Outcome.FELL_BACK}


@pytest.fixture
def labels(out: str) -> Labels:
    begin(out, recipe(), [CARD])
    commit_all(out, images(10), recipe(), ENDED)
    return open_labels(out)


def test_a_condition_chooses_rows_in_their_order(labels: Labels) -> None:
    chosen = labels.where("outcome = 'refined' and size_bytes >= 1004")
    expected = {image(i).id for i in (4, 5, 7, 8, 9)}
    assert list(chosen) == [image_id for image_id in labels if image_id in expected]
    assert len(chosen) == 5
    assert image(3).id not in chosen and image(5).id in chosen
    with pytest.raises(KeyError, match="not among the 5 images"):
        chosen[image(3).id]


def test_what_is_chosen_is_a_collection_of_labels_itself(labels: Labels) -> None:
    chosen = labels.where("array_index is null or outcome = 'fell_back'")
    assert chosen.count_outcomes() == {
        Outcome.REFINED: 0, Outcome.FELL_BACK: 1, Outcome.REJECTED: 0, Outcome.FAILED: 1
    }  # fmt: skip
    assert chosen.find("0006.jpg") == image(6).id
    assert chosen.table(["id"], pads.field("outcome") == "failed")["id"].to_pylist() == [
        image(2).id
    ]
    assert [row.outcome for row in chosen.troubles(5)] == [Outcome.FAILED, Outcome.FELL_BACK]
    assert list(chosen.with_maps()) == [image(6).id] == list(chosen.where("height_px = 6"))
    again = pickle.loads(pickle.dumps(chosen))
    assert list(again) == list(chosen)
    assert (again[image(6).id].coarse == arrays_of(label(image(6)))["coarse"]).all()


def test_rows_and_maps_are_those_of_the_whole(labels: Labels) -> None:
    chosen = labels.where("outcome = 'refined'")
    for image_id, stored in chosen.items():
        assert stored.row == labels[image_id].row
        assert (stored.refined == labels[image_id].refined).all()
    assert chosen.rows([1, 0]) == [chosen[i].row for i in list(chosen)[1::-1]]
    assert labels.rows([1, 0]) == [labels[i].row for i in list(labels)[1::-1]]


def test_neighbours_are_read_in_one_go(labels: Labels) -> None:
    rows = labels.where("shard is not null").with_maps().rows([0, 1])
    for row, map_hw in zip(rows, labels.read_run(rows, "spread"), strict=True):
        assert map_hw.dtype == "float16"
        assert (map_hw == labels[row.id].spread).all()
    with pytest.raises(LookupError, match="has no maps: it failed"):
        labels.read_run([labels[image(2).id].row], "spread")


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("confidence > 0.8", 'Referenced column "confidence" not found'),
        ("outcome =", "syntax error"),
        ("", "expected a condition in SQL over id, uri, outcome"),
        ("true; drop table labels", "Parser Error"),
        ("outcome", "Could not convert string"),
        ("exists (select * from read_csv('some.csv'))", "disabled by configuration"),
    ],
)
def test_what_is_no_condition_is_refused(labels: Labels, condition: str, said: str) -> None:
    with pytest.raises(ConfigError, match="cannot choose labels where") as refused:
        labels.where(condition)
    assert said in str(refused.value)


def test_a_condition_is_checked_without_labels() -> None:
    check_condition("mean_confidence > 0.8 and outcome = 'refined'")
    with pytest.raises(ConfigError, match="nobody"):
        check_condition("nobody > 1")


def test_without_duckdb_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def importing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "duckdb":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(ConfigError, match=r"pip install 'redepth\[sql\]'"):
        check_condition("true")


@given(st.lists(st.none() | st.floats(0, 1), max_size=20), st.floats(0, 1))
def test_a_comparison_holds_for_no_null(values: list[float | None], bound: float) -> None:
    rows = [{"id": str(i), "mean_confidence": value} for i, value in enumerate(values)]
    table = SCHEMA.empty_table().select(["id", "mean_confidence"])
    table = type(table).from_pylist(rows, schema=table.schema)
    chosen = rows_where(table, f"mean_confidence > {bound!r}")
    expected = [row for row, value in zip(rows, values, strict=True) if (value or 0) > bound]
    assert chosen.to_pylist() == expected
    assert chosen.schema == table.schema


class Requests:
    """Counts what is asked of a storage while labels are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self._watch(monkeypatch, Objects, "read", lambda name, *_: [name])
        self._watch(monkeypatch, Objects, "list", lambda name, _: [name])
        self._watch(monkeypatch, Objects, "read_many", lambda names, _: list(names))
        self._watch(monkeypatch, Objects, "read_range", lambda name, *_: [name])
        real = zarr.storage.FsspecStore.get

        async def get(store: Any, key: str, *args: Any, **kwargs: Any) -> Any:
            self.names.append(key)
            return await real(store, key, *args, **kwargs)

        monkeypatch.setattr(zarr.storage.FsspecStore, "get", get)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, asks: Any) -> None:
        real = getattr(owner, name)

        def watched(self_: Any, *args: Any) -> Any:
            self.names += asks(*args)
            return real(self_, *args)

        monkeypatch.setattr(owner, name, watched)

    def since(self) -> list[str]:
        """Return what was asked for since the last call."""
        names, self.names = self.names, []
        return names


def test_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    out = "memory://requests/labels"
    begin(out, recipe(), [CARD])
    commit_all(out, images(12), recipe(images_per_shard=4))
    requests = Requests(monkeypatch)
    labels = open_labels(out)
    assert requests.since() == ["dataset.json"]
    chosen = labels.where("outcome = 'refined'")
    assert len(requests.since()) == 1 + 3, "a listing, and a part for each of three shards"
    rows = chosen.with_maps().rows(range(4))
    assert [chosen[row.id].row for row in rows] == rows
    assert requests.since() == [], "the rows are at hand"
    chosen.read_run(rows, "refined")
    assert len(requests.since()) == 4, "group, array, the index of its one object, four images"
    chosen.read_run(rows[1:3], "refined")
    assert len(requests.since()) == 1, "two images at once"
