"""Fragments hold every field of a row, unchanged."""

from __future__ import annotations

from dataclasses import fields, replace
from types import NoneType
from typing import Any, get_args, get_type_hints

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.errors import IntegrityError
from redepth.store.rows import SCHEMA, decode_fragment, encode_fragment
from redepth.types import DepthKind, FocalSource, LabelRow, Outcome

_VALUES: dict[object, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    int: st.integers(-(2**31), 2**31 - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    Outcome: st.sampled_from(Outcome),
    DepthKind: st.sampled_from(DepthKind),
    FocalSource: st.sampled_from(FocalSource),
}


def _any_value(hint: object) -> st.SearchStrategy[object]:
    kinds = get_args(hint) or (hint,)
    return st.one_of([st.none() if kind is NoneType else _VALUES[kind] for kind in kinds])


_SIDES = ("height_px", "width_px", "image_height_px", "image_width_px")
_PLACES = {
    **dict.fromkeys(_SIDES, st.none() | st.integers(1, 1 << 20)),
    **dict.fromkeys(("shard", "array_group"), st.none() | st.from_regex(r"\A[0-9a-f]{16}\Z")),
    "array_index": st.none() | st.integers(0, (1 << 16) - 1),
    **dict.fromkeys(("size_bytes", "offset_bytes"), st.none() | st.integers(0, 2**63 - 1)),
}
any_row = st.builds(
    LabelRow,
    **{name: _any_value(hint) for name, hint in get_type_hints(LabelRow).items()} | _PLACES,
)


@given(rows=st.lists(any_row, max_size=5))
def test_rows_come_back_as_they_were(rows: list[LabelRow]) -> None:
    part = decode_fragment("s", encode_fragment(rows, ["s", "s.1"]))
    assert part.rows() == rows
    assert part.array_groups == ("s", "s.1")


def test_the_schema_is_the_row() -> None:
    assert SCHEMA.names == [field.name for field in fields(LabelRow)]


def test_some_columns_alone() -> None:
    row = LabelRow(id="a", uri="u", outcome=Outcome.FAILED)
    table = decode_fragment("s", encode_fragment([row], ["s"]), ("id", "outcome")).table
    assert table.to_pylist() == [{"id": "a", "outcome": "failed"}]


def test_columns_that_came_later_are_null_in_a_part_that_lacks_them() -> None:
    row = LabelRow(id="a", uri="u", outcome=Outcome.REFINED, focal_px=70.0)
    table = pa.parquet.read_table(pa.BufferReader(encode_fragment([row], ["s"])))
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table.drop_columns(["focal_px", "focal_source", "far_share"]), sink)
    part = decode_fragment("s", bytes(sink.getvalue()))
    assert part.table.schema == SCHEMA
    assert part.rows() == [replace(row, focal_px=None)]


def test_another_format_version_is_refused() -> None:
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(SCHEMA.empty_table(), sink)
    with pytest.raises(IntegrityError, match="format version none, expected 3"):
        decode_fragment("s", bytes(sink.getvalue()))
