"""Reading: by id, by name, as tables, and with other people's software."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import numpy as np
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
import xarray

from redepth.config import Storage
from redepth.errors import ConfigError, IntegrityError
from redepth.store import layout
from redepth.store.catalogue import count_outcomes, fragment_names
from redepth.store.dataset import begin
from redepth.store.manifest import ShardPlan
from redepth.store.objects import Objects, open_objects
from redepth.store.planning import plan_labels
from redepth.store.reader import Labels, open_labels, summarise
from redepth.store.shards import write_shard
from redepth.types import ImageRef, LabelRow, Outcome
from tests.store.store_samples import CARD, arrays_of, commit_all, image, images, label, recipe

ENDED = {image(2).id: Outcome.FAILED, image(5).id: Outcome.REJECTED, image(6).id: Outcome.FELL_BACK}


@pytest.fixture
def labels(out: str) -> Labels:
    begin(out, recipe(), [CARD])
    commit_all(out, images(10), recipe(), ENDED)
    return open_labels(out)


def test_labels_are_a_mapping_by_id(labels: Labels) -> None:
    assert len(labels) == 10
    assert sorted(labels) == sorted(ref.id for ref in images(10))
    strangers: list[object] = ["nobody", 7]
    assert image(3).id in labels and not any(stranger in labels for stranger in strangers)
    assert labels[image(6).id].row.outcome is Outcome.FELL_BACK
    with pytest.raises(KeyError, match="nobody is not among the 10 images"):
        labels["nobody"]


def test_rows_as_a_table(labels: Labels) -> None:
    assert len(labels.table()) == 10
    failed = labels.table(columns=["uri"], filter=pads.field("outcome") == "failed")
    assert failed.to_pylist() == [{"uri": image(2).uri}]


def test_an_output_just_begun_is_empty(out: str) -> None:
    begin(out, recipe(), [CARD])
    labels = open_labels(out)
    assert (len(labels), list(labels), len(labels.table(["id"]))) == (0, [], 0)
    with pytest.raises(ConfigError, match="no image 'x' among the 0"):
        labels.find("x")
    assert set(labels.count_outcomes().values()) == {0}


@pytest.mark.parametrize(
    "text",
    [image(3).id, image(3).id[:9], image(3).uri, "0003.jpg", "older/0003.jpg"],
)
def test_an_image_is_found(labels: Labels, text: str) -> None:
    if text.startswith("older"):
        with pytest.raises(ConfigError, match="no image"):
            labels.find(text)
    else:
        assert labels.find(text) == image(3).id


def test_several_candidates_are_listed(out: str) -> None:
    begin(out, recipe(), [CARD])
    twins = [ImageRef("aa1", "left/0001.jpg"), ImageRef("aa2", "right/0001.jpg")]
    commit_all(out, twins, recipe())
    labels = open_labels(out)
    for text in ("0001.jpg", "aa"):
        with pytest.raises(ConfigError, match="2 images fit") as refused:
            labels.find(text)
        assert "left/0001.jpg" in str(refused.value) and "aa2" in str(refused.value)
    assert labels.find("left/0001.jpg") == "aa1"


def test_a_summary_counts_what_is_done_and_left(out: str) -> None:
    begin(out, recipe(), [CARD])
    commit_all(out, images(10), recipe(), ENDED)
    assert summarise(out).num_left == 0
    plan_labels(images(25), out, recipe())
    summary = summarise(out)
    expected = {
        Outcome.REFINED: 7, Outcome.FELL_BACK: 1, Outcome.REJECTED: 1, Outcome.FAILED: 1
    }  # fmt: skip
    assert summary.outcomes == expected == count_outcomes(out)
    assert (summary.num_done, summary.num_left) == (10, 15)


def test_a_summary_counts_the_labels_of_each_method(out: str) -> None:
    begin(out, recipe(), [CARD])
    plan = ShardPlan("0" * 16, "0" * 16, tuple(images(5)))
    methods = ("quick", "quick", "thorough", "quick", None)
    made = [label(ref) for ref in plan.images]
    write_shard(
        out,
        plan,
        [replace(one, row=replace(one.row, refined_by=method))
         for one, method in zip(made, methods, strict=True)],
        Storage(),
    )  # fmt: skip
    assert summarise(out).methods == {"quick": 3, "thorough": 1}


def test_one_map_is_a_partial_read(out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(out, recipe(), [CARD])
    plan = ShardPlan("0" * 16, "0" * 16, tuple(images(16)))
    write_shard(out, plan, [label(ref, size=(64, 64)) for ref in plan.images], Storage())
    num_bytes: list[int] = []
    real = Objects.read_range

    def read_range(self: Objects, name: str, start: int, stop: int | None) -> bytes:
        content = real(self, name, start, stop)
        num_bytes.append(len(content))
        return content

    monkeypatch.setattr(Objects, "read_range", read_range)
    labels = open_labels(out)
    _ = labels[plan.images[3].id].refined
    assert len(num_bytes) == 2, "the index of the shard, and the chunk"
    num_bytes.clear()
    _ = labels[plan.images[7].id].refined
    assert len(num_bytes) == 1, "the index is at hand"
    assert sum(num_bytes) < 1.1 * 64 * 64 * 4


def group_of(row: LabelRow) -> str:
    """Return the folder of a label's maps."""
    assert row.array_group is not None
    return layout.group_folder(row.array_group)


def test_a_lost_array_object_is_an_error_and_not_a_label(out: str, labels: Labels) -> None:
    row = labels[image(1).id].row
    group = group_of(row)
    objects = open_objects(out)
    objects.delete(f"{group}/refined/c/0/0/0")
    with pytest.raises(IntegrityError, match="refined/c/0/0/0 is gone"):
        _ = open_labels(out)[row.id].refined
    objects.delete(f"{group}/zarr.json")
    with pytest.raises(IntegrityError, match="which is not there"):
        _ = open_labels(out)[row.id].refined


def test_arrays_of_other_images_are_an_error(out: str, labels: Labels) -> None:
    one, other = labels[image(1).id].row, labels[image(8).id].row
    objects = open_objects(out)
    name = "zarr.json"
    foreign = objects.read(f"{group_of(other)}/{name}")
    objects.put(f"{group_of(one)}/{name}", foreign)
    with pytest.raises(IntegrityError, match="holds another image"):
        _ = open_labels(out)[one.id].refined


def test_a_part_that_is_none_is_an_error(out: str) -> None:
    begin(out, recipe(), [CARD])
    open_objects(out).put("labels/0123456789abcdef.parquet", b"PAR1 not at all")
    with pytest.raises(IntegrityError, match="fragment 0123456789abcdef cannot be read"):
        len(open_labels(out))


def _group_url(objects: Objects, labels: Labels) -> str:
    return objects.full_url(group_of(labels[image(0).id].row))


def test_xarray_reads_a_group(out: str, labels: Labels) -> None:
    url = _group_url(open_objects(out), labels)
    with xarray.open_zarr(url, consolidated=False) as group:
        assert group.refined.dims == ("image", "y", "x")
        assert group.attrs["kind"] == "affine_invariant_disparity"
        ids = group.attrs["images"]
        assert ids == [image(0).id, image(1).id, image(3).id]
        np.testing.assert_array_equal(
            group.refined[1].to_numpy()[:6, :9], arrays_of(label(image(1)))["refined"]
        )


def test_duckdb_and_pyarrow_read_the_parts(out: str, labels: Labels) -> None:
    objects = open_objects(out)
    assert pads.dataset(
        [objects.full_path(name) for name in fragment_names(objects)], filesystem=objects.fs
    ).count_rows() == len(labels)
    if not objects.is_local:
        return
    query = f"SELECT outcome, count(*) FROM '{out}/labels/*.parquet' GROUP BY outcome ORDER BY 1"
    assert duckdb.sql(query).fetchall() == [
        ("failed", 1),
        ("fell_back", 1),
        ("refined", 7),
        ("rejected", 1),
    ]
    metadata = pq.read_schema(objects.full_path(fragment_names(objects)[0])).metadata
    assert metadata[b"redepth.format_version"] == b"3"
