"""Samples from an output: what is in them, and in which order they come, with any workers."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
import warnings
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from redepth.config import Storage
from redepth.errors import ConfigError, ImageRejected, PhotographChanged, PhotographNotAllowed
from redepth.store.dataset import begin
from redepth.store.objects import open_objects
from redepth.store.planning import plan_labels
from redepth.store.reader import Labels, open_labels
from redepth.store.shards import write_shard
from redepth.torch_data import LabelDataset, LabelMaps, Share, Shuffling
from tests.store.store_samples import CARD, images, label, recipe, shard_plans
from tests.torch_data.torch_data_samples import CONFIDENT, write_output

BATCH_SIZE = 4
NUM_LABELS = 22


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """Return 22 labels in five shards, and two images without one."""
    return write_output(str(tmp_path_factory.mktemp("output")), num_images=24)


@pytest.fixture(autouse=True)
def _few_cores() -> Iterator[None]:
    """Three workers on two cores are what this is about."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


def stream(labels: Labels, workers: int = 0, epoch: int = 0, **changed: Any) -> list[list[str]]:
    """Return the ids of every batch of an epoch."""
    how = {"batch_size": BATCH_SIZE, "shuffling": Shuffling(seed=3, block_size=2), **changed}
    dataset = LabelDataset(LabelMaps(labels, ["refined"]), **how)
    dataset.set_epoch(epoch)
    loader = DataLoader(dataset, BATCH_SIZE, num_workers=workers, collate_fn=ids_of)
    return list(loader)


def ids_of(samples: list[dict[str, Any]]) -> list[str]:
    return [sample["id"] for sample in samples]


class TestSamples:
    @pytest.mark.parametrize("quantity", ["coarse", "refined", "spread", "confidence"])
    def test_maps_are_the_stored_ones(self, labels: Labels, quantity: str) -> None:
        maps = LabelMaps(labels, [quantity])
        assert len(maps) == NUM_LABELS
        for sample in DataLoader(maps, batch_size=None):
            stored = getattr(labels[sample["id"]], quantity)
            assert sample[quantity].dtype == torch.float32
            np.testing.assert_array_equal(sample[quantity], stored)
            assert sample["kind"] == "affine_invariant_disparity"
            assert set(sample) == {"id", "kind", quantity}

    def test_photographs_lie_on_the_maps_pixel_by_pixel(self, labels: Labels) -> None:
        sample = LabelMaps(labels, images="uint8")[0]
        assert sample["image"].dtype == torch.uint8
        assert sample["image"].shape == (3, *sample["refined"].shape)
        as_float = LabelMaps(labels, images="float32")[0]["image"]
        torch.testing.assert_close(as_float, sample["image"].float() / 255)
        row = labels[sample["id"]].row
        own_size = LabelMaps(labels, images="uint8", resize_images=False)[0]["image"]
        assert own_size.shape == (3, row.image_height_px, row.image_width_px)

    def test_batches_by_position_keep_what_was_asked_for(self, labels: Labels) -> None:
        maps = LabelMaps(labels, ["coarse"])
        chosen = maps.__getitems__([5, 3, 5, -1])
        assert [s["id"] for s in chosen] == [maps[i]["id"] for i in (5, 3, 5, NUM_LABELS - 1)]
        with pytest.raises(IndexError):
            maps[NUM_LABELS]

    def test_a_condition_narrows_them(self, labels: Labels) -> None:
        maps = LabelMaps(labels.where(CONFIDENT), ["confidence"])
        assert 0 < len(maps) < NUM_LABELS
        for sample in maps.__getitems__([0, 1]):
            assert (labels[sample["id"]].row.mean_confidence or 0) > 0.5

    def test_a_transform_decides_what_is_collated(self, labels: Labels) -> None:
        maps = LabelMaps(labels, ["refined"], transform=lambda sample: sample["refined"][:4, :4])
        assert next(iter(DataLoader(maps, batch_size=3))).shape == (3, 4, 4)

    def test_nothing_wrong_goes_by(self, labels: Labels, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="expected some of coarse, refined"):
            LabelMaps(labels, ["depth"])
        gone = write_output(str(tmp_path), num_images=4)
        Path(gone[next(iter(gone))].row.uri).unlink()
        with pytest.raises(ImageRejected, match="no longer there"):
            LabelMaps(gone, images="uint8")[0]


class TestAbsentQuantities:
    """Of an ensemble of one confidence is NaN all over: a loss weighted by it would be NaN."""

    @pytest.fixture
    def coarse_only(self, tmp_path: Path) -> Labels:
        begin(str(tmp_path), recipe(), [CARD])
        for shard in shard_plans(plan_labels(images(6), str(tmp_path), recipe())):
            made = [label(ref, single=True) for ref in shard.images]
            write_shard(str(tmp_path), shard, made, Storage())
        return open_labels(str(tmp_path))

    def test_one_that_was_chosen_is_an_error(self, coarse_only: Labels) -> None:
        with pytest.raises(
            ConfigError, match=r"no label of .* has a confidence: .*choose refined alone"
        ):
            LabelMaps(coarse_only, ("refined", "confidence"))

    def test_of_the_usual_ones_it_is_left_out_and_said(
        self, coarse_only: Labels, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert set(LabelMaps(coarse_only)[0]) == {"id", "kind", "refined"}
        assert "samples are without confidence: no label of" in caplog.text

    def test_labels_that_have_it_bring_it(self, labels: Labels) -> None:
        assert set(LabelMaps(labels)[0]) == {"id", "kind", "refined", "confidence"}


class TestZip:
    def test_a_zip_is_read_by_threads_and_workers(self, labels: Labels, tmp_path: Path) -> None:
        shutil.make_archive(str(tmp_path / "all"), "zip", labels.url)
        zipped = open_labels(f"zip://::{tmp_path}/all.zip")
        assert stream(zipped, workers=2) == stream(labels)
        maps, originals = LabelMaps(zipped, ["refined"]), LabelMaps(labels, ["refined"])
        every = range(len(maps))
        for ours, theirs in zip(
            maps.__getitems__(every), originals.__getitems__(every), strict=True
        ):
            np.testing.assert_array_equal(ours["refined"], theirs["refined"])


class TestChangedPhotographs:
    """A picture is never given beside the label of another one."""

    @pytest.fixture
    def changed(self, tmp_path: Path) -> Labels:
        """Return 6 labels; the photographs of the first, third and last are others by now."""
        labels = write_output(str(tmp_path), num_images=7)
        for number in (0, 2, 6):
            Image.new("RGB", (64, 48), "red").save(tmp_path / f"{number:04}.png")
        return labels

    def test_one_that_was_overwritten_is_an_error(self, changed: Labels) -> None:
        maps = LabelMaps(changed, images="uint8")
        with pytest.raises(PhotographChanged, match="not the file that was labelled"):
            maps[0]
        assert maps[1]["image"].shape[0] == 3
        assert LabelMaps(changed, ["refined"])[0]["id"] == next(iter(changed)), "no image asked for"

    def test_or_left_out_and_counted(
        self, changed: Labels, caplog: pytest.LogCaptureFixture
    ) -> None:
        maps = LabelMaps(changed, images="uint8", unread="skip")
        batches = list(DataLoader(maps, batch_size=2, collate_fn=list))
        ids = [sample["id"] for batch in batches for sample in batch]
        assert len(ids) == len(maps) - 3
        assert all((sample["image"] != 0).any() for batch in batches for sample in batch)
        assert maps.skipped == {"changed since it was labelled": 3}
        assert len(caplog.records) == 1, "once a reason, not once a sample"
        assert [s["id"] for s in LabelDataset(maps, batch_size=2)] == ids

    def test_a_batch_of_nothing_is_an_error(self, changed: Labels) -> None:
        maps = LabelMaps(changed, images="uint8", unread="skip")
        with pytest.raises(ImageRejected, match="no photograph of a batch of 2 can be used"):
            maps.__getitems__([0, 2])

    def test_somebody_elses_labels_make_no_request(self, tmp_path: Path) -> None:
        labels = write_output(str(tmp_path), num_images=2)
        table = labels.table()
        place = table.schema.get_field_index("uri")
        far = pa.array(["http://169.254.169.254/latest"] * len(table))
        theirs = Labels(
            open_objects(labels.url), labels.dataset, table.set_column(place, "uri", far)
        )
        with pytest.raises(PhotographNotAllowed, match="--allow ROOT"):
            LabelMaps(theirs, images="uint8")[0]


class TestOrder:
    def test_workers_do_not_change_the_batches(self, labels: Labels) -> None:
        expected = stream(labels)
        assert sorted(i for batch in expected for i in batch) == sorted(labels.with_maps())
        for workers in (1, 2, 3):
            assert stream(labels, workers) == expected

    def test_the_epoch_does(self, labels: Labels) -> None:
        first, second = stream(labels, epoch=0), stream(labels, epoch=1)
        assert first != second
        assert sorted(chain(*first)) == sorted(chain(*second))

    def test_without_shuffling_it_is_the_catalogues(self, labels: Labels) -> None:
        assert list(chain(*stream(labels, 2, shuffling=None))) == list(labels.with_maps())

    @pytest.mark.parametrize("workers", [0, 2])
    def test_two_ranks_in_turn_are_one(self, labels: Labels, workers: int) -> None:
        expected = stream(labels)
        ranks = [stream(labels, workers, share=Share(rank, 2)) for rank in (0, 1)]
        assert [len(batches) for batches in ranks] == [2, 2], "22 labels: 5 whole batches, 4 dealt"
        in_turn = [batch for pair in zip(*ranks, strict=True) for batch in pair]
        assert in_turn == expected[:4]

    def test_the_rank_is_that_of_torchrun(
        self, labels: Labels, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = stream(labels, shuffling=None)
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("WORLD_SIZE", "2")
        dataset = LabelDataset(LabelMaps(labels), batch_size=BATCH_SIZE)
        assert len(dataset) == 2 * BATCH_SIZE
        assert ids_of(list(dataset)) == expected[1] + expected[3]

    def test_workers_that_stay_hear_of_the_next_epoch(self, labels: Labels) -> None:
        maps = LabelMaps(labels, ["refined"])
        dataset = LabelDataset(maps, batch_size=BATCH_SIZE, shuffling=Shuffling(3, block_size=2))
        loader = DataLoader(
            dataset, BATCH_SIZE, num_workers=2, persistent_workers=True, collate_fn=ids_of
        )
        for epoch in (0, 1):
            dataset.set_epoch(epoch)
            assert list(loader) == stream(labels, epoch=epoch)

    def test_its_length_is_what_it_yields(self, labels: Labels) -> None:
        for ranks in (1, 2, 3):
            dataset = LabelDataset(LabelMaps(labels), batch_size=5, share=Share(0, ranks))
            assert len(list(dataset)) == len(dataset)


def test_labels_travel_to_other_processes(labels: Labels) -> None:
    chosen = pickle.loads(pickle.dumps(labels.where(CONFIDENT)))
    assert list(chosen) == list(labels.where(CONFIDENT))
    assert chosen.url == labels.url == open_labels(labels.url).url


@pytest.mark.slow
def test_spawned_workers_read_the_same(labels: Labels) -> None:
    dataset = LabelDataset(LabelMaps(labels, ["refined"]), batch_size=BATCH_SIZE)
    context = multiprocessing.get_context("spawn")
    loader = DataLoader(
        dataset, BATCH_SIZE, num_workers=1, multiprocessing_context=context, collate_fn=ids_of
    )
    assert list(loader) == stream(labels, shuffling=None)
