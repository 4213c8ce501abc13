"""Verifying finds what is wrong, and two outputs with the same labels have one digest."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from redepth.config import Storage
from redepth.quantities import ALWAYS
from redepth.store import layout
from redepth.store.catalogue import fragment_names
from redepth.store.dataset import begin
from redepth.store.digests import row_digest
from redepth.store.objects import open_objects
from redepth.store.planning import plan_labels
from redepth.store.rows import decode_fragment, encode_fragment
from redepth.store.shards import write_shard
from redepth.store.verification import Verification, verify_labels
from redepth.types import LabelRow, Outcome
from tests.store.store_samples import (
    CARD,
    arrays_of,
    commit_all,
    images,
    label,
    recipe,
    shard_plans,
)

ENDED = {images(10)[3].id: Outcome.FAILED, images(10)[7].id: Outcome.FELL_BACK}


def written(out: str, per_shard: int = 4, order: int = 1) -> Verification:
    begin(out, recipe(), [CARD])
    commit_all(out, images(10)[::order], recipe(per_shard), ENDED)
    return verify_labels(out)


def test_the_digest_is_of_the_labels_and_not_of_the_run(new_output: Callable[[], str]) -> None:
    one = written(new_output())
    assert one.problems == () and one.num_images == 10 and one.num_groups == 3
    assert written(new_output(), per_shard=3, order=-1).content_digest == one.content_digest
    retried = new_output()
    begin(retried, recipe(), [CARD])
    commit_all(retried, images(10), recipe(), ENDED | {images(10)[0].id: Outcome.FAILED})
    assert verify_labels(retried).content_digest != one.content_digest
    commit_all(retried, images(10), recipe(), ENDED, retry=[Outcome.FAILED])
    assert verify_labels(retried).content_digest == one.content_digest


def test_the_digest_over_four_quantities_is_that_of_format_version_2(out: str) -> None:
    """Recorded of the same labels before a group could state any quantity but these."""
    before = "0d0054dcca1d94755c7afa5d5683e2acadccab713a74e0f6a63c460216b9b381"
    assert written(out).content_digest == before
    names = [quantity.name for quantity in ALWAYS]
    assert verify_labels(out, quantities=names).content_digest == before
    assert verify_labels(out, quantities=names[:2]).content_digest != before


def test_the_digest_tells_by_which_method_a_label_was_made() -> None:
    row = LabelRow(id="a", uri="u", outcome=Outcome.REFINED)
    said = [(None, None), ("quick", 0.1), ("thorough", 0.1), ("quick", 0.2)]
    made = [replace(row, refined_by=name, predicted_gain=gain) for name, gain in said]
    assert len({row_digest(one, b"") for one in made}) == 4


def test_one_pixel_makes_another_digest(new_output: Callable[[], str]) -> None:
    digests = set()
    for change in (0.0, 1e-6):
        out = new_output()
        begin(out, recipe(), [CARD])
        (shard,) = shard_plans(plan_labels(images(3), out, recipe()))
        labels = [label(ref) for ref in shard.images]
        arrays_of(labels[1])["refined"][2, 3] = 1 + change
        write_shard(out, shard, labels, Storage())
        digests.add(verify_labels(out).content_digest)
    assert len(digests) == 2


def changed_rows(change: Callable[[list[LabelRow]], list[LabelRow]]) -> Callable[[str], None]:
    def spoil(out: str) -> None:
        objects = open_objects(out)
        name = fragment_names(objects)[0]
        part = decode_fragment(name, objects.read(name))
        objects.put(name, encode_fragment(change(part.rows()), part.array_groups))

    return spoil


def first(**changes: Any) -> Callable[[str], None]:
    def change(rows: list[LabelRow]) -> list[LabelRow]:
        at = next(i for i, row in enumerate(rows) if row.outcome is Outcome.REFINED)
        return [*rows[:at], replace(rows[at], **changes), *rows[at + 1 :]]

    return changed_rows(change)


def array_object(name: str, spoil: Callable[[bytes], bytes | None]) -> Callable[[str], None]:
    def change(out: str) -> None:
        objects = open_objects(out)
        row = decode_fragment("s", objects.read(fragment_names(objects)[0])).rows()
        group = next(r.array_group for r in row if r.array_group)
        full = f"{layout.group_folder(group)}/{name}"
        content = spoil(objects.read(full))
        objects.delete(full)
        if content is not None:
            objects.put(full, content)

    return change


def other_pixels(out: str) -> None:
    """Put the coarse maps where the refined ones are."""
    objects = open_objects(out)
    rows = decode_fragment("s", objects.read(fragment_names(objects)[0])).rows()
    group = layout.group_folder(next(r.array_group for r in rows if r.array_group))
    objects.put(f"{group}/refined/c/0/0/0", objects.read(f"{group}/coarse/c/0/0/0"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda out: open_objects(out).put("labels/0123456789abcdef.parquet", b"no"), None),
        (changed_rows(lambda rows: rows[1:]), "its name is not the digest"),
        (first(shard="other"), "the row says shard other"),
        (first(reason="?"), r"it refined with the reason '\?'"),
        (first(kind=None), "has no pixels, size or kind"),
        (first(array_index=77), "is to be at 77"),
        (first(height_px=5), "the row says 5 x 9 px"),
        (first(mean_confidence=7.0), "mean_confidence is 7 in the row"),
        (first(array_group="gone-0"), "which is not there"),
        (array_object("zarr.json", lambda _: None), "which is not there"),
        (array_object("refined/c/0/0/0", lambda _: None), "refined/c/0/0/0 is gone"),
        (array_object("spread/zarr.json", lambda _: None), "not there"),
        (array_object("refined/c/0/0/0", lambda c: c[: len(c) // 2]), "is damaged"),
        (array_object("refined/c/0/0/0", lambda c: b"\0" * 40 + c[40:]), "is damaged"),
        (array_object("refined/zarr.json", lambda c: c[:-9]), "arrays/.*:"),
        (array_object("zarr.json", lambda c: c.replace(b'version": 3', b'version": 7')), "7, exp"),
        (other_pixels, "its pixels are not those that were committed"),
    ],
)
def test_what_is_wrong_is_said(out: str, spoil: Callable[[str], None], said: str | None) -> None:
    before = written(out)
    spoil(out)
    if said is None:
        with pytest.raises(Exception, match="cannot be read"):
            verify_labels(out)
        return
    found = verify_labels(out)
    assert found.num_problems >= 1
    assert any(re.search(said, problem) for problem in found.problems), found.problems
    assert before.problems == ()


def test_an_image_committed_twice_is_a_problem(out: str) -> None:
    written(out)
    (again,) = shard_plans(plan_labels([images(12)[11]], out, recipe()))
    twice = replace(again, shard="f" * 16, array_group="f" * 16, images=(images(1)[0],))
    write_shard(out, twice, [label(images(1)[0])], Storage())
    assert any("committed twice" in problem for problem in verify_labels(out).problems)


def test_maps_of_several_sizes_are_told_from_their_padding(out: str) -> None:
    begin(out, recipe(), [CARD])
    (shard,) = shard_plans(plan_labels(images(3), out, recipe()))
    labels = [label(ref, size=(4 + i, 8 - i)) for i, ref in enumerate(shard.images)]
    write_shard(out, shard, labels, Storage())
    assert verify_labels(out).problems == ()
