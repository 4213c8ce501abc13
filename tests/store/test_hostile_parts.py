"""Fragments and names of a stranger: refused before they lead anywhere or take memory."""

from __future__ import annotations

import os
import resource
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from redepth.errors import IntegrityError
from redepth.store import fragment_index, layout
from redepth.store.catalogue import fragment_names
from redepth.store.cleaning import find_leftovers, remove_leftovers
from redepth.store.dataset import begin
from redepth.store.objects import open_objects
from redepth.store.planning import draft_plan, plan_labels
from redepth.store.reader import open_labels
from redepth.store.rows import MAX_ROWS, SCHEMA, decode_fragment, encode_fragment
from redepth.types import LabelRow, Outcome
from tests.store.store_samples import CARD, commit_all, images, recipe

ROW = LabelRow(
    id="a",
    uri="u",
    outcome=Outcome.REFINED,
    height_px=2,
    width_px=2,
    array_group="s",
    array_index=0,
)
METADATA = {b"redepth.format_version": b"3", b"redepth.array_groups": b'["s"]'}


def part_of(table: pa.Table, metadata: dict[bytes, bytes] = METADATA) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
    return bytes(sink.getvalue())


def rows_of(num: int, **columns: pa.Array) -> pa.Table:
    texts = pa.array([""]).take(pa.array([0] * num))
    needed = {"id": texts, "uri": texts, "outcome": texts, **columns}
    nothing = {field.name: pa.nulls(num, field.type) for field in SCHEMA}
    nothing |= {"attempts": pa.array([1] * num, pa.int32()), "untrained": pa.array([False] * num)}
    return pa.table({**nothing, **needed}).cast(SCHEMA)


NAMES = ("../../etc", "..", "a/b", ".hidden", "*", "a::b", "s3:x", "", "x" * 200, "a\\b", "a\n")


@pytest.mark.parametrize("name", NAMES)
def test_no_name_leads_elsewhere(name: str) -> None:
    for named in (layout.fragment_name, layout.group_folder):
        with pytest.raises(IntegrityError, match="is no name of"):
            named(name)


@pytest.mark.parametrize(
    "changes",
    [
        {"array_group": "../../../etc"},
        {"shard": "../other"},
        {"array_index": -1},
        {"array_index": 2**31 - 1},
        {"height_px": 0},
        {"width_px": 2**31 - 1},
        {"image_width_px": -5},
        {"outcome": "other"},
        {"kind": "other"},
    ],
)
def test_a_row_that_redepth_does_not_write_is_refused(changes: dict[str, Any]) -> None:
    part = decode_fragment("s", encode_fragment([replace(ROW, **changes)], ["s"]))
    with pytest.raises(IntegrityError):
        part.rows()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (lambda: rows_of(MAX_ROWS + 1), "65537 rows"),
        (lambda: rows_of(4, reason=pa.array(["x" * (150 << 20)]).take([0] * 4)), "bytes of text"),
        (lambda: rows_of(1).set_column(0, "id", [pa.array([[1]])]), "column id is list"),
        (lambda: rows_of(1).drop_columns(["id"]), "cannot be read"),
    ],
    ids=["rows", "one text many times", "another type", "no ids"],
)
def test_a_part_that_takes_too_much_is_refused(table: Callable[[], pa.Table], said: str) -> None:
    content = part_of(table())
    assert len(content) < 1 << 20, "small, and yet"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(IntegrityError, match=said):
        decode_fragment("s", content)
    taken_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert taken_kib < 1 << 20


@pytest.mark.parametrize(
    "groups", [b"", b"7", b"[1]", b"[" * 100_000, b'["s"' + b',"s"' * 20_000 + b"]"]
)
def test_tries_that_are_no_names_are_refused(groups: bytes) -> None:
    content = part_of(rows_of(1), {**METADATA, b"redepth.array_groups": groups})
    with pytest.raises(IntegrityError, match="cannot be read"):
        decode_fragment("s", content)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    out = tmp_path / "labels"
    begin(str(out), recipe(), [CARD])
    commit_all(str(out), images(3), recipe())
    return out


def test_a_pipe_in_the_place_of_a_part_is_not_waited_for(labels: Path) -> None:
    (name,) = fragment_names(open_objects(str(labels)))
    (labels / name).unlink()
    os.mkfifo(labels / name)
    with pytest.raises(IntegrityError, match="is no file"):
        list(open_labels(str(labels)))


def test_a_device_behind_a_link_is_not_read(labels: Path) -> None:
    (labels / "dataset.json").unlink()
    (labels / "dataset.json").symlink_to("/dev/zero")
    with pytest.raises(IntegrityError, match="is no file"):
        open_labels(str(labels))


def test_an_object_of_any_size_is_not_read_whole(out: str) -> None:
    objects = open_objects(out)
    objects.put("large", bytes(1000))
    objects.put("empty", b"")
    assert len(objects.read("large", 1000)) == 1000
    assert objects.read("empty", 5) == b""
    with pytest.raises(IntegrityError, match="more than the 999 bytes"):
        objects.read("large", 999)
    with pytest.raises(FileNotFoundError):
        objects.read("gone", 5)


def test_cleaning_removes_nothing_behind_a_link(labels: Path, tmp_path: Path) -> None:
    precious = tmp_path / "home" / "letters" / "precious"
    precious.parent.mkdir(parents=True)
    precious.write_text("keep")
    (labels / "arrays").rename(tmp_path / "moved")
    (labels / "arrays").symlink_to(tmp_path / "home")
    found = find_leftovers(str(labels), timedelta(0), datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(IntegrityError, match="outside the output"):
        list(remove_leftovers(str(labels), found))
    assert precious.read_text() == "keep"


INDEXES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "an outcome there is not": lambda t: t.set_column(4, "outcomes", [pa.array([[9, 9, 9]])]),
    "fewer outcomes than keys": lambda t: t.set_column(4, "outcomes", [pa.array([[0]])]),
    "no fingerprints": lambda t: t.set_column(
        5, "fingerprints", [pa.array([None], pa.list_(pa.int64()))]
    ),
    "other columns": lambda t: t.drop_columns(["keys"]),
}


@pytest.mark.parametrize("change", INDEXES.values(), ids=INDEXES.keys())
def test_an_index_that_redepth_does_not_write_is_left_aside(
    labels: Path, change: Callable[[pa.Table], pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fragment_index, "FRAGMENTS_WORTH_INDEXING", 1)
    plan_labels(images(3), str(labels), recipe())
    path = labels / fragment_index.NAME
    table = change(pa.ipc.open_file(path.read_bytes()).read_all())
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    with draft_plan(images(3), str(labels), recipe()) as draft:
        assert (draft.plan.num_pending, draft.plan.outcomes[Outcome.REFINED]) == (0, 3)


def test_offsets_of_an_index_are_not_followed_out_of_it(
    labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fragment_index, "FRAGMENTS_WORTH_INDEXING", 1)
    plan_labels(images(3), str(labels), recipe())
    path = labels / fragment_index.NAME
    content = path.read_bytes()
    offsets = struct.pack("<ii", 0, 3)
    assert offsets in content
    path.write_bytes(content.replace(offsets, struct.pack("<ii", 0, 2**30)))
    with draft_plan(images(3), str(labels), recipe()) as draft:
        assert draft.plan.num_pending == 0
