"""Damaged and random lists: their rows, or an error that names the place; nothing else, ever.

REDEPTH_FUZZ_EXAMPLES multiplies how many are tried.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redepth.errors import ConfigError
from redepth.images.collection import list_images
from redepth.printable import printable
from redepth.types import ImageRef
from tests.images.list_samples import TYPED, WITH_URIS, WRITERS, Record

TIMES = int(os.environ.get("REDEPTH_FUZZ_EXAMPLES", "1"))
fuzzed = settings(
    max_examples=60 * TIMES,
    deadline=None,
    derandomize=TIMES == 1,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXTS = [name for name in WITH_URIS if name != "l.parquet"]
RECORDS: list[Record] = [
    {"uri": "a.jpg", "id": "1", "caption": "ä dog, brown"},
    {"uri": "b.jpg", "id": "2", "caption": "two\nlines"},
    {"uri": "c.jpg", "id": "3", "caption": ""},
]
PLACE = re.compile(
    r"(line|row) \d+|l\.\w+(\.gz)?( has no column| is not a readable|: the list|: c)"
)


def outcome(path: Path) -> list[ImageRef] | str:
    """List a file; return its images, or the words of a ConfigError that names it."""
    try:
        return list(list_images(str(path)))
    except ConfigError as error:
        said = str(error)
        assert path.name in said and "Traceback" not in said
        assert printable(said) == said, "nothing in it is an order to a terminal"
        return said


def written(folder: Path, name: str, records: list[Record]) -> Path:
    path = folder / name
    WRITERS[name](path, records)
    return path


# --- every cut, every byte -----------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_URIS)
def test_every_cut_of_every_list(name: str, tmp_path: Path) -> None:
    """What is packed, in an array or in Parquet says that it was cut; other text cannot."""
    path = written(tmp_path, name, RECORDS)
    whole = path.read_bytes()
    rows = outcome(path)
    assert len(rows) == len(RECORDS)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        found = outcome(path)
        if isinstance(found, str):
            assert PLACE.search(found), found
            continue
        assert found[:-1] == rows[: len(found) - 1], "all but the last are as they were"
        assert name.endswith((".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".json"))
        if name.endswith(".json"):
            assert whole[size:].isspace()


@pytest.mark.parametrize("name", WITH_URIS)
def test_every_byte_of_every_list(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, name, RECORDS)
    whole = path.read_bytes()
    for place in range(len(whole)):
        others = (0, 0xFF, ord('"'), ord("\n")) if name != "l.parquet" else ()
        for byte in (whole[place] ^ 1, *others):
            path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            found = outcome(path)
            if name.endswith(".gz") and byte != whole[place] and place > 9:
                assert isinstance(found, str) or len(found) == len(RECORDS)


# --- random bytes --------------------------------------------------------------------------------


@fuzzed
@given(name=st.sampled_from(WITH_URIS), content=st.binary(max_size=400))
def test_random_bytes(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    outcome(path)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(content))
        outcome(path)


@fuzzed
@given(
    name=st.sampled_from(WITH_URIS),
    places=st.lists(
        st.tuples(st.floats(0, 1), st.binary(max_size=6), st.integers(0, 9)), max_size=4
    ),
)
def test_damaged_lists(name: str, places: list[tuple[float, bytes, int]], tmp_path: Path) -> None:
    path = written(tmp_path, name, RECORDS * 1)
    content = path.read_bytes()
    for where, put, taken in places:
        at = int(where * len(content))
        content = content[:at] + put + content[at + taken :]
    path.write_bytes(content)
    outcome(path)


SYNTAX = st.sampled_from(
    ["uri", "id", "caption", "focal_px", ",", ";", "\t", "\n", "\r\n", "\r", '"', "'", "{", "}",
     "[", "]", ":", " ", "a.jpg", "b", "1", "-", "null", "NaN", "\\", "\\u", "\ufeff", "\0", "#",
     "é", "::", "://", "s3", "file:", "/", "..", "~", "%", "?", "*", "\u2028", "\x85", "\ud800"]
)  # fmt: skip


@fuzzed
@given(name=st.sampled_from(TEXTS), words=st.lists(SYNTAX, max_size=40))
def test_random_syntax(name: str, words: list[str], tmp_path: Path) -> None:
    content = "".join(words).encode(errors="surrogatepass")
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    outcome(path)


# --- random records ------------------------------------------------------------------------------

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.lists(st.one_of(st.text(max_size=5), st.integers(), st.none()), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@fuzzed
@given(
    name=st.sampled_from([name for name in TYPED if "json" in name]),
    records=st.lists(
        st.fixed_dictionaries(
            {"uri": VALUES},
            optional=dict.fromkeys(("id", "caption", "focal_px", "fov_deg"), VALUES),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_random_records(name: str, records: list[Record], tmp_path: Path) -> None:
    """No row is lost, whatever its values are: each is an image, or the error names it."""
    for i, record in enumerate(records):
        if isinstance(record["uri"], str) and record["uri"].strip():
            record["uri"] = f"{i}/{record['uri'].strip()}"
    found = outcome(written(tmp_path, name, records))
    if isinstance(found, str):
        assert re.search(r"line \d+", found)
    else:
        assert len(found) == len({str(record["uri"]) for record in records})
        for ref, record in zip(found, records, strict=False):
            check(ref, record)


def check(ref: ImageRef, record: Record) -> None:
    """Hold an image to what its record says."""
    own_id, caption = record.get("id"), record.get("caption")
    if isinstance(own_id, str) and own_id.strip().isprintable() and own_id.strip():
        assert ref.id == own_id.strip()
    if isinstance(own_id, int):
        assert ref.id == str(own_id)
    if caption is None or caption == [] or (isinstance(caption, float) and math.isnan(caption)):
        assert ref.caption is None
    if isinstance(caption, str) and caption.isprintable():
        assert ref.caption == (caption.strip() or None)
    assert ref.focal_px is None or (math.isfinite(ref.focal_px) and ref.focal_px > 0)


TYPES = [
    pa.string(), pa.large_string(), pa.binary(), pa.bool_(), pa.int8(), pa.int64(), pa.uint64(),
    pa.float16(), pa.float32(), pa.float64(), pa.null(), pa.date32(), pa.timestamp("ns"),
    pa.time64("us"), pa.decimal128(9, 2), pa.list_(pa.string()), pa.list_(pa.int8()),
    pa.struct([("a", pa.string())]), pa.dictionary(pa.int8(), pa.string()),
    pa.large_list(pa.large_string()), pa.binary(3), pa.list_(pa.string(), 2), pa.duration("s"),
]  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Draw a table whose columns have any names and types."""
    number = draw(st.integers(0, 5))
    columns: dict[str, Any] = {}
    for name in draw(
        st.lists(st.sampled_from(["uri", "URI ", "id", "caption", "focal_px", "image", "x", ""]),
                 unique=True, max_size=5)
    ):  # fmt: skip
        kind = draw(st.sampled_from(TYPES))
        texts = draw(
            st.lists(st.one_of(st.none(), st.text(max_size=4), st.binary(max_size=3)),
                     min_size=number, max_size=number)
        )  # fmt: skip
        try:
            columns[name] = pa.array(texts, pa.binary()).cast(kind, safe=False)
        except (pa.ArrowException, TypeError):
            columns[name] = pa.nulls(number, kind)
    return pa.table(columns)


@fuzzed
@given(table=tables(), group=st.integers(1, 3))
def test_random_tables(table: pa.Table, group: int, tmp_path: Path) -> None:
    path = tmp_path / "l.parquet"
    try:
        pq.write_table(table, path, row_group_size=group)
    except (pa.ArrowException, ValueError):
        return
    found = outcome(path)
    if (
        not isinstance(found, str)
        and "image" in table.column_names
        and not any(name.strip().lower() == "uri" for name in table.column_names)
    ):
        assert len(found) == len(table)


@fuzzed
@given(records=st.lists(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4)))
def test_objects_of_any_keys(records: list[dict[str, str]], tmp_path: Path) -> None:
    path = tmp_path / "l.json"
    path.write_text(json.dumps(records))
    found = outcome(path)
    assert isinstance(found, str)
