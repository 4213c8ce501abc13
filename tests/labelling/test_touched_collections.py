"""Collections that were touched, copied, packed or sorted anew, from the listing to the commit."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from redepth.config import Recipe, load_recipe
from redepth.images.archives import parquet_images
from redepth.images.collection import list_images
from redepth.labelling.labeller import Labeller, label_shard, load_labeller
from redepth.store.dataset import begin
from redepth.store.kept import labels_to_keep
from redepth.store.manifest import read_shard_plans
from redepth.store.planning import plan_labels
from redepth.store.reader import open_labels
from redepth.store.shards import write_shard
from redepth.store.verification import verify_labels

NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("mini-coarse", ("labels.coarse.size_px=56", "labels.coarse.weights.seed=0",
                                       "run.sharding.images_per_shard=3"))  # fmt: skip


@pytest.fixture(scope="module")
def labeller(recipe: Recipe) -> Labeller:
    return load_labeller(recipe.labels)


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def label(source: Path, out: Path, recipe: Recipe, labeller: Labeller) -> tuple[int, int]:
    """Do a run's work without its engines; return how many labels were made, and how many kept."""
    # A run has a process of its own, which remembers nothing of a Parquet file.
    parquet_images._parquet_file.cached.cache_clear()
    parquet_images._row_group.cached.cache_clear()
    plan = plan_labels(list_images(str(source)), str(out), recipe)
    begin(str(out), recipe, labeller.cards)
    made = kept = 0
    if plan.manifest is not None:
        for shard in read_shard_plans(plan.manifest, 0, plan.num_shards):
            before = labels_to_keep(str(out), shard)
            labels = label_shard(labeller, shard.images, before)
            commit = write_shard(str(out), shard, labels, recipe.labels.storage)
            kept += commit.num_kept
            made += len(shard.images) - commit.num_kept
    return made, kept


def write_folder(path: Path, names: Sequence[str]) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for name in names:
        (path / f"{name}.png").write_bytes(png(NAMES.index(name)))


def write_tar(path: Path, names: Sequence[str]) -> None:
    with tarfile.open(path, "w") as tar:
        for name in names:
            content = png(NAMES.index(name))
            info = tarfile.TarInfo(f"{name}.png")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_parquet(path: Path, names: Sequence[str]) -> None:
    pq.write_table(pa.table({"image": [png(NAMES.index(name)) for name in names]}), path)


def write_named_parquet(path: Path, names: Sequence[str]) -> None:
    contents = [png(NAMES.index(name)) for name in names]
    pq.write_table(pa.table({"id": list(names), "image": contents}), path)


WRITERS: dict[str, tuple[str, Callable[[Path, Sequence[str]], None]]] = {
    "folder": ("photos", write_folder),
    "tar": ("photos.tar", write_tar),
    "parquet": ("photos.parquet", write_parquet),
    "parquet with ids": ("photos.parquet", write_named_parquet),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_written_anew_with_the_same_bytes_keeps_its_labels(
    tmp_path: Path, recipe: Recipe, labeller: Labeller, kind: str
) -> None:
    name, write = WRITERS[kind]
    source, out = tmp_path / name, tmp_path / "labels"
    write(source, NAMES)
    assert label(source, out, recipe, labeller) == (4, 0)
    digest = verify_labels(str(out)).content_digest
    assert label(source, out, recipe, labeller) == (0, 0)
    write(source, NAMES)
    for path in (source, *source.rglob("*")):
        os.utime(path, (1e9, 1e9))
    assert label(source, out, recipe, labeller) == (0, 4)
    assert label(source, out, recipe, labeller) == (0, 0), "then nothing is left to do"
    found = verify_labels(str(out))
    assert (found.content_digest, found.problems) == (digest, ())
    assert photographs(out) == "abcd"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("tar", (0, 4)), ("parquet", (2, 2)), ("parquet with ids", (0, 4))],
)
def test_a_container_that_was_sorted_again_is_followed(
    tmp_path: Path, recipe: Recipe, labeller: Labeller, kind: str, expected: tuple[int, int]
) -> None:
    """Without ids, an image in a Parquet file is known by its row: there lies another one now."""
    name, write = WRITERS[kind]
    source, out = tmp_path / name, tmp_path / "labels"
    write(source, NAMES)
    label(source, out, recipe, labeller)
    write(source, ("b", "a", "c", "d"))
    os.utime(source, (1e9, 1e9))
    assert label(source, out, recipe, labeller) == expected
    assert verify_labels(str(out)).problems == ()
    assert photographs(out) == ("abcd" if kind == "tar" else "bacd")


def photographs(out: Path) -> str:
    """Name what each label's photograph is now, by uri; a label of another one is an error."""
    parquet_images._parquet_file.cached.cache_clear()
    parquet_images._row_group.cached.cache_clear()
    labels = open_labels(str(out))
    names = {hashlib.sha256(png(seed)).hexdigest(): name for seed, name in enumerate(NAMES)}
    rows = sorted((labels[i].row for i in labels), key=lambda row: row.uri)
    return "".join(names.get(labels.photographs().open(row).sha256, "?") for row in rows)


def test_one_that_was_overwritten_at_its_size_is_labelled_and_the_others_are_kept(
    tmp_path: Path, recipe: Recipe, labeller: Labeller
) -> None:
    source, out = tmp_path / "photos", tmp_path / "labels"
    write_folder(source, NAMES)
    (source / "b.png").write_bytes(png(1) + b"1")
    label(source, out, recipe, labeller)
    write_folder(source, NAMES)
    (source / "b.png").write_bytes(png(1) + b"2")
    assert label(source, out, recipe, labeller) == (1, 3)
    assert photographs(out) == "a?cd"
    (source / "b.png").write_bytes(png(9))
    assert label(source, out, recipe, labeller) == (1, 0)
    assert photographs(out) == "a?cd"
