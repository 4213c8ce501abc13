"""One table of rules for what a record says, held against every reader of lists and containers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redepth.errors import ConfigError
from redepth.images.collection import list_images
from redepth.images.lists.readers import LIST_SUFFIXES
from redepth.images.lists.rows import FIELDS, row_of
from redepth.types import ImageRef
from tests.images.list_samples import (
    TYPED,
    WITH_CAPTIONS,
    WITH_FIELDS,
    WITH_URIS,
    WRITERS,
    Record,
    picture,
)

NAN = math.nan


def listed(folder: Path, name: str, records: list[Record]) -> list[ImageRef]:
    WRITERS[name](folder / name, records)
    return list(list_images(str(folder / name)))


def refused(folder: Path, name: str, records: list[Record]) -> str:
    with pytest.raises(ConfigError) as caught:
        listed(folder, name, records)
    return str(caught.value)


def own_id(ref: ImageRef) -> bool:
    """Whether an image's id is that which follows from its uri."""
    return ref.id[-17] == "-" and ref.id != "7"


def test_every_kind_of_list_has_a_writer_here() -> None:
    """So that a new reader is held to every rule below."""
    assert {f"l{suffix}" for suffix in LIST_SUFFIXES} <= set(WRITERS)


@pytest.mark.parametrize("name", WRITERS)
def test_plain_records(name: str, tmp_path: Path) -> None:
    refs = listed(tmp_path, name, [{"uri": "a.png"}, {"uri": "b.png"}, {"uri": "ü ß.png"}])
    assert len({ref.id for ref in refs}) == 3
    assert all(own_id(ref) and ref.caption is None for ref in refs)
    if name in WITH_URIS:
        assert [ref.uri for ref in refs] == [
            f"{tmp_path}/{n}" for n in ("a.png", "b.png", "ü ß.png")
        ]


# --- ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_FIELDS)
@pytest.mark.parametrize("empty", ["", "  ", "\t\n", "\u00a0"])
def test_an_empty_id_is_none(name: str, empty: str, tmp_path: Path) -> None:
    first, second = listed(
        tmp_path, name, [{"uri": "a.png", "id": empty}, {"uri": "b.png", "id": "7"}]
    )
    assert own_id(first)
    assert second.id == "7"


@pytest.mark.parametrize("name", WITH_FIELDS)
@pytest.mark.parametrize("given", [" 7", "7 ", "\n7\t", 7])
def test_an_id_is_taken_without_the_white_space_around_it(
    name: str, given: object, tmp_path: Path
) -> None:
    (ref,) = listed(tmp_path, name, [{"uri": "a.png", "id": given}])
    assert ref.id == "7"


@pytest.mark.parametrize("name", TYPED)
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (7, "7"),
        (7.0, "7"),
        (-3, "-3"),
        (7.5, "7.5"),
        (2**62, str(2**62)),
        (None, None),
        (NAN, None),
    ],
)
def test_a_number_is_an_id(name: str, given: object, expected: str | None, tmp_path: Path) -> None:
    (ref,) = listed(tmp_path, name, [{"uri": "a.png", "id": given}])
    assert ref.id == expected if expected else own_id(ref)


@pytest.mark.parametrize("name", TYPED)
@pytest.mark.parametrize("given", [True, False, ["7"], {"a": "7"}, 1e300, math.inf, -math.inf])
def test_what_is_no_id_is_refused_with_its_line(name: str, given: object, tmp_path: Path) -> None:
    said = refused(tmp_path, name, [{"uri": "a.png", "id": given}])
    assert "`id` is " in said or "column 'id' is " in said
    assert name in said


# --- captions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_CAPTIONS)
@pytest.mark.parametrize(
    ("given", "expected"),
    [("a dog", "a dog"), ("  a\n dog ", "a\n dog"), ("", None), (" \n", None), ("nan", "nan"),
     ("7", "7"), ("ein Bär", "ein Bär")],
)  # fmt: skip
def test_a_caption_of_text(name: str, given: str, expected: str | None, tmp_path: Path) -> None:
    first, _ = listed(
        tmp_path, name, [{"uri": "a.png", "caption": given}, {"uri": "b.png", "caption": "x"}]
    )
    assert first.caption == expected


@pytest.mark.parametrize("name", TYPED)
@pytest.mark.parametrize(
    ("given", "expected"),
    [(7, "7"), (7.0, "7"), (0.5, "0.5"), (None, None), (NAN, None), (["a dog", "a cat"], "a dog"),
     ([""], None), ([None, "a"], None)],
)  # fmt: skip
def test_a_caption_of_another_type(
    name: str, given: object, expected: str | None, tmp_path: Path
) -> None:
    (ref,) = listed(tmp_path, name, [{"uri": "a.png", "caption": given}])
    assert ref.caption == expected


@pytest.mark.parametrize("name", TYPED)
def test_a_row_without_captions_among_those_with_several(name: str, tmp_path: Path) -> None:
    records = [
        {"uri": f"{i}.png", "caption": captions}
        for i, captions in enumerate([["a", "b"], [], None, ["c"], [], ["d", "e", "f"]])
    ]
    refs = listed(tmp_path, name, records)
    assert [ref.caption for ref in refs] == ["a", None, None, "c", None, "d"]


@pytest.mark.parametrize("name", TYPED)
@pytest.mark.parametrize("given", [True, {"en": "a dog"}, [["a dog"]], [{"a": "b"}], [True]])
def test_what_is_no_caption_is_refused_with_its_line(
    name: str, given: object, tmp_path: Path
) -> None:
    said = refused(tmp_path, name, [{"uri": "a.png", "caption": given}])
    assert "`caption` is " in said or "column 'caption' is " in said
    assert name in said


@pytest.mark.parametrize("name", ["l.parquet", "images.parquet", "samples.tar"])
def test_a_caption_of_bytes(name: str, tmp_path: Path) -> None:
    first, second = listed(
        tmp_path,
        name,
        [{"uri": "a.png", "caption": "Bär".encode()}, {"uri": "b.png", "caption": b"B\xe4r"}],
    )
    assert (first.caption, second.caption) == ("Bär", "B\N{REPLACEMENT CHARACTER}r")


@pytest.mark.parametrize("field", ["uri", "id"])
def test_a_name_of_bytes_has_to_be_utf_8(field: str, tmp_path: Path) -> None:
    record = {"uri": b"a.png", "id": b"7"}
    (ref,) = listed(tmp_path, "l.parquet", [record])
    assert (ref.uri, ref.id) == (f"{tmp_path}/a.png", "7")
    said = refused(tmp_path, "l.parquet", [record | {field: b"B\xe4r"}])
    assert f"l.parquet, row 1: `{field}` is b'B\\xe4r', expected UTF-8" in said


# --- uris ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_URIS)
def test_a_uri_is_taken_without_the_white_space_around_it(name: str, tmp_path: Path) -> None:
    (ref,) = listed(tmp_path, name, [{"uri": "  a b.png\u00a0"}])
    assert ref.uri == f"{tmp_path}/a b.png"


@pytest.mark.parametrize("name", [name for name in WITH_URIS if "txt" not in name])
@pytest.mark.parametrize("empty", ["", " ", None])
def test_an_empty_uri_is_refused_with_its_line(
    name: str, empty: str | None, tmp_path: Path
) -> None:
    said = refused(tmp_path, name, [{"uri": "a.png", "id": "1"}, {"uri": empty, "id": "2"}])
    assert "`uri` is empty" in said
    assert any(place in said for place in ("line 2", "line 3", "row 2", "line 6"))


@pytest.mark.parametrize("name", [name for name in TYPED if name != "images.parquet"])
@pytest.mark.parametrize("given", [True, ["a.png"], {"path": "a.png"}])
def test_what_is_no_uri_is_refused_with_its_line(name: str, given: object, tmp_path: Path) -> None:
    said = refused(tmp_path, name, [{"uri": given}])
    assert "`uri` is " in said or "column 'uri' is " in said


# --- cameras -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_FIELDS)
@pytest.mark.parametrize(
    ("focal_px", "expected"), [(900, 900.0), (900.5, 900.5), ("900", 900.0), (" 9e2 ", 900.0)]
)
def test_a_focal_length(name: str, focal_px: object, expected: float, tmp_path: Path) -> None:
    (ref,) = listed(tmp_path, name, [{"uri": "a.png", "focal_px": focal_px}])
    assert (ref.focal_px, ref.fov_deg) == (expected, None)


@pytest.mark.parametrize("name", TYPED)
@pytest.mark.parametrize("nothing", [None, NAN, "", " "])
def test_a_focal_length_that_is_not_known(name: str, nothing: object, tmp_path: Path) -> None:
    (ref,) = listed(tmp_path, name, [{"uri": "a.png", "focal_px": nothing, "fov_deg": 60}])
    assert (ref.focal_px, ref.fov_deg) == (None, 60.0)


@pytest.mark.parametrize("name", TYPED)
@pytest.mark.parametrize("given", [True, math.inf, "50mm", "nan", [900], {"px": 900}, 0, -3])
def test_what_is_no_focal_length_is_refused_with_its_line(
    name: str, given: object, tmp_path: Path
) -> None:
    said = refused(tmp_path, name, [{"uri": "a.png", "focal_px": given}])
    assert "focal_px is " in said or "column 'focal_px' is " in said


# --- names of columns ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_FIELDS)
@pytest.mark.parametrize("spelt", [str.upper, str.title, " {} ".format, "\t{}".format])
def test_columns_are_found_however_they_are_spelt(name: str, spelt: Any, tmp_path: Path) -> None:
    record = {"uri": "a.png", "id": "7", "caption": "a dog", "focal_px": "900"}
    if name == "images.parquet":
        spelt_record = {spelt(n): v for n, v in record.items() if n != "uri"}
    else:
        spelt_record = {spelt(n): v for n, v in record.items()}
    (ref,) = listed(tmp_path, name, [spelt_record])
    assert (ref.id, ref.caption, ref.focal_px) == ("7", "a dog", 900.0)


@pytest.mark.parametrize("name", WITH_FIELDS)
@pytest.mark.parametrize("twice", ["ID", "id ", "Id"])
def test_two_columns_that_are_one_field_are_refused(name: str, twice: str, tmp_path: Path) -> None:
    said = refused(tmp_path, name, [{"uri": "a.png", "id": "7", twice: "8"}])
    assert f"the columns 'id' and {twice!r} are both 'id'" in said


@pytest.mark.parametrize("name", ["l.jsonl", "l.json"])
def test_a_key_that_an_object_has_twice_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"uri": "a.png", "id": "7", "uri": "b.png"}')
    with pytest.raises(ConfigError, match=r"line 1: the columns 'uri' and 'uri' are both 'uri'"):
        list(list_images(str(tmp_path / name)))


@pytest.mark.parametrize("name", WITH_FIELDS)
def test_further_columns_are_ignored(name: str, tmp_path: Path) -> None:
    (ref,) = listed(tmp_path, name, [{"uri": "a.png", "label": 7, "": "x", "Caption2": "no"}])
    assert ref.caption is None


# --- types that Parquet alone has ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["l.parquet", "images.parquet"])
@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.binary(), pa.large_binary(),
     pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int8(), pa.large_string()),
     pa.list_(pa.string()), pa.large_list(pa.large_string())],
    ids=str,
)  # fmt: skip
def test_texts_of_every_type(name: str, kind: pa.DataType, tmp_path: Path) -> None:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    values = ["a", None, "b", "a", "", " c "] * 1000
    caption = pa.array([[v] for v in values] if is_list else values, _plain(kind)).cast(kind)
    place = (
        {"uri": [f"{i}.png" for i in range(6000)]} if name == "l.parquet"
        else {"image": [picture()] * 6000}
    )  # fmt: skip
    pq.write_table(pa.table(place | {"caption": caption}), tmp_path / name, row_group_size=2500)
    refs = list(list_images(str(tmp_path / name)))
    assert [ref.caption for ref in refs] == ["a", None, "b", "a", None, "c"] * 1000


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(kind) else kind


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float32(), pa.float64(),
                                  pa.dictionary(pa.int32(), pa.int64())], ids=str)  # fmt: skip
def test_numbers_of_every_type(kind: pa.DataType, tmp_path: Path) -> None:
    numbers = pa.array([7, None, 9], pa.int64())
    ids = numbers.dictionary_encode() if pa.types.is_dictionary(kind) else numbers.cast(kind)
    pq.write_table(pa.table({"uri": ["a", "b", "c"], "id": ids}), tmp_path / "l.parquet")
    first, second, third = list_images(str(tmp_path / "l.parquet"))
    assert (first.id, third.id) == ("7", "9") and own_id(second)


@pytest.mark.parametrize(
    "kind", [pa.timestamp("us"), pa.date32(), pa.decimal128(5), pa.list_(pa.int8())], ids=str
)
def test_a_column_of_another_type_is_refused(kind: pa.DataType, tmp_path: Path) -> None:
    table = pa.table({"uri": ["a"], "id": pa.nulls(1, kind)})
    pq.write_table(table, tmp_path / "l.parquet")
    with pytest.raises(ConfigError, match=r"l\.parquet: column 'id' is .*expected a text or a"):
        list(list_images(str(tmp_path / "l.parquet")))


# --- the rules themselves ------------------------------------------------------------------------


def test_a_row_says_where_it_stands() -> None:
    record = dict.fromkeys(FIELDS) | {"uri": "a"}
    assert row_of("x, line 3", record) == row_of("x, line 3", {"uri": "a"})
    with pytest.raises(ConfigError, match=r"^x, line 3: `id` has 20,000 characters"):
        row_of("x, line 3", {"uri": "a", "id": "i" * 20_000})
    assert json.dumps(row_of("x", {}, "tar://a::b").uri) == '"tar://a::b"'


def test_a_refused_value_is_shown_short_and_without_secrets() -> None:
    with pytest.raises(ConfigError) as caught:
        row_of("x", {"uri": ["https://u:CANARY@host/a.jpg\n" + "y" * 9000]})
    assert "CANARY" not in str(caught.value) and len(str(caught.value)) < 200
