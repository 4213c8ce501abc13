"""Comparing the photographs of an output with those that were labelled."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from redepth.images.collection import list_images
from redepth.store import photographs
from redepth.store.dataset import begin
from redepth.store.photographs import check_photographs, count_photographs
from redepth.store.planning import plan_labels
from redepth.store.shards import write_shard
from redepth.types import ImageRef, Label, Outcome
from tests.store.store_samples import CARD, label, recipe, shard_plans

NUM = 6


def labelled(ref: ImageRef, *, is_rejected: bool) -> Label:
    if is_rejected:
        return label(ref, Outcome.REJECTED)
    made = label(ref)
    sha256 = hashlib.sha256(Path(ref.uri).read_bytes()).hexdigest()
    return Label(replace(made.row, sha256=sha256), made.arrays)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of files that nothing needs to decode; the last one was rejected."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(NUM):
        (folder / f"{number}.jpg").write_bytes(b"bytes of %d" % number)
    refs = list(list_images(str(folder)))
    out = str(tmp_path / "out")
    begin(out, recipe(), [CARD])
    for shard in shard_plans(plan_labels(refs, out, recipe())):
        labels = [labelled(ref, is_rejected=ref == refs[-1]) for ref in shard.images]
        write_shard(out, shard, labels, recipe().labels.storage)
    return folder


def check(photos: Path) -> photographs.PhotographCheck:
    return check_photographs(str(photos.parent / "out"))


def test_untouched_and_touched_ones_are_the_same(photos: Path) -> None:
    seen: list[None] = []
    os.utime(photos / "2.jpg", (1, 1))
    out = str(photos.parent / "out")
    found = check_photographs(out, on_photograph=lambda: seen.append(None))
    assert (found.num_same, found.others, found.num_others) == (NUM - 1, {}, 0)
    assert len(seen) == count_photographs(out) == NUM - 1, "the rejected one is not read"


def overwrite(photos: Path) -> None:
    before = (photos / "1.jpg").stat()
    (photos / "1.jpg").write_bytes(b"bytes of 9")
    os.utime(photos / "1.jpg", ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "summary", "words"),
    [
        (overwrite, "changed since it was labelled", "is not the file that was labelled"),
        (lambda photos: (photos / "1.jpg").unlink(), "not there any more", "no longer there"),
        (lambda photos: (photos / "1.jpg").write_bytes(b""), "changed since it was labelled", "0"),
    ],
)
def test_one_that_is_another_or_gone_is_counted_and_named(
    photos: Path, change: Callable[[Path], object], summary: str, words: str
) -> None:
    change(photos)
    found = check(photos)
    assert (found.num_same, found.others) == (NUM - 2, {summary: 1})
    assert len(found.named) == 1 and words in found.named[0] and "1.jpg" in found.named[0]


def test_all_are_counted_and_some_are_named(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "MAX_NAMED", 2)
    for path in photos.iterdir():
        path.unlink()
    found = check(photos)
    assert (found.num_same, found.num_others, len(found.named)) == (0, NUM - 1, 2)


def test_another_bucket_is_read_only_where_it_is_allowed(tmp_path: Path) -> None:
    refs = [ImageRef("a", "s3://theirs/a.jpg")]
    out = str(tmp_path)
    begin(out, recipe(), [CARD])
    (shard,) = shard_plans(plan_labels(refs, out, recipe()))
    write_shard(out, shard, [label(refs[0])], recipe().labels.storage)
    found = check_photographs(out)
    assert found.others == {"lies where nothing may be read (--allow)": 1}
