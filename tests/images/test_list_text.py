"""Lists as spreadsheets, notebooks and scripts write them: each row is read, or a line named."""

from __future__ import annotations

import codecs
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from redepth.errors import ConfigError
from redepth.images.collection import list_images


def names(path: Path) -> list[str]:
    folder = f"{path.parent}/"
    return [ref.uri.removeprefix(folder) for ref in list_images(str(path))]


def written(path: Path, content: bytes | str) -> Path:
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        names(path)
    return str(caught.value)


LISTS = {
    "l.txt": "a.jpg\nü b.jpg\n",
    "l.csv": 'uri,caption\na.jpg,"one, two"\nü b.jpg,\n',
    "l.tsv": "uri\tcaption\na.jpg\tone, two\nü b.jpg\t\n",
    "l.jsonl": '{"uri": "a.jpg"}\n{"uri": "ü b.jpg"}\n',
    "l.ndjson": '{"uri": "a.jpg"}\n{"uri": "ü b.jpg"}\n',
    "l.json": '[{"uri": "a.jpg"},\n {"uri": "ü b.jpg"}]\n',
}
CODINGS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "byte-order mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "two marks": lambda text: 2 * codecs.BOM_UTF8 + text.encode(),
    "UTF-16 of Windows": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "UTF-16, the other way": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-32": lambda text: codecs.BOM_UTF32_LE + text.encode("utf-32-le"),
    "line ends of Windows": lambda text: text.replace("\n", "\r\n").encode(),
    "line ends of old Macs": lambda text: text.replace("\n", "\r").encode(),
    "no last line end": lambda text: text.rstrip("\n").encode(),
    "blank lines": lambda text: text.replace("\n", "\n\n  \n").encode(),
}


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", LISTS)
def test_every_list_in_every_coding(name: str, coding: str, packed: str, tmp_path: Path) -> None:
    path = written(tmp_path / (name + packed), CODINGS[coding](LISTS[name]))
    assert names(path) == ["a.jpg", "ü b.jpg"]


@pytest.mark.parametrize("name", LISTS)
def test_lists_with_a_mark_each_that_were_joined(name: str, tmp_path: Path) -> None:
    """`cat a.csv b.csv`: the second file's mark, and its names, stand in the middle."""
    more = LISTS[name].replace("a.jpg", "c.jpg").replace("ü b", "d")
    path = written(tmp_path / name, (codecs.BOM_UTF8.decode() + LISTS[name]) + "\ufeff" + more)
    if name == "l.json":
        assert "line 3: there is more behind the array's end" in refused(path)
    else:
        assert names(path) == ["a.jpg", "ü b.jpg", "c.jpg", "d.jpg"]


@pytest.mark.parametrize("name", LISTS)
def test_text_that_is_none_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    content = LISTS[name].encode()
    latin = content.replace("ü".encode(), b"\xfc")
    said = refused(written(tmp_path / name, latin))
    line = 2 if b"ri" not in content.partition(b"\n")[0] or "json" in name else 3
    assert f"{name}, line {line}: not UTF-8 text (byte 0xfc): save it as UTF-8" in said
    unmarked = refused(written(tmp_path / name, LISTS[name].encode("utf-16-le")))
    assert "save the list as UTF-8" in unmarked or "not JSON" in unmarked or "not UTF-8" in unmarked
    assert "line 1" in unmarked or "line 2" in unmarked
    odd = codecs.BOM_UTF16_LE + LISTS[name].encode("utf-16-le")[:-1]
    assert "is no text of its encoding" in refused(written(tmp_path / name, odd))


@pytest.mark.parametrize("name", LISTS)
def test_a_packed_list_that_is_damaged_is_refused(name: str, tmp_path: Path) -> None:
    packed = gzip.compress(LISTS[name].encode() * 50)
    path = tmp_path / f"{name}.gz"
    for content in (packed[:-9], packed[:20], packed + b"more", b"not packed", packed[:60] + b"x"):
        path.write_bytes(content)
        assert "cannot be unpacked" in refused(path)
    path.write_bytes(gzip.compress(LISTS[name].encode()) + gzip.compress(b"\n"))
    assert len(names(path)) == 2, "gzip files may be joined"


def test_a_packed_list_that_is_far_too_large_is_refused(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "l.txt.gz", "wb") as file:
        for _ in range(100):
            file.write(b"\n" * 2**20)
    assert "and no list does" in refused(tmp_path / "l.txt.gz")


def test_a_list_from_another_storage(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name, text in LISTS.items():
        for path, content in ((name, text.encode()), (f"{name}.gz", gzip.compress(text.encode()))):
            memory.pipe_file(f"/texts/{path}", content)
            refs = list(list_images(f"memory://texts/{path}"))
            assert [ref.uri for ref in refs] == ["memory://texts/a.jpg", "memory://texts/ü b.jpg"]
    memory.rm("/texts", recursive=True)


# --- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".CSV", ".csv.gz"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("order", ["uri{}id{}caption", "caption{}id{}uri", "x{}uri{}id"])
def test_a_table_is_split_as_its_names_are(
    suffix: str, separator: str, order: str, tmp_path: Path
) -> None:
    columns = order.split("{}")
    values = {"uri": "a b.jpg", "id": "7", "caption": '"x, y; z\tä"', "x": "1"}
    lines = [columns, [values[column] for column in columns]]
    text = "".join(separator.join(cells) + "\n" for cells in lines)
    (ref,) = list_images(str(written(tmp_path / f"l{suffix}", text)))
    assert (ref.uri, ref.id) == (f"{tmp_path}/a b.jpg", "7")
    assert ref.caption == ("x, y; z\tä" if "caption" in columns else None)


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_table_of_one_column(suffix: str, tmp_path: Path) -> None:
    other = ";" if suffix == ".csv" else ","
    path = written(tmp_path / f"l{suffix}", f"uri\na{other}b.jpg\n")
    assert names(path) == [f"a{other}b.jpg"]


TABLES = {
    "a cell too many": ("uri,caption\na.jpg,one\nb.jpg,one, two\n", "line 3: 3 cells, expected 2"),
    "a comma in a name": ("uri\na,b.jpg\n", "line 2: 2 cells, expected 1 as in line 1: put a cell"),
    "no names": ("a.jpg,one\nb.jpg,two\n", "no column `uri`; it has 'a.jpg', 'one'.*names first"),
    "no uri": ("path;label\na;b\n", "no column `uri`; it has 'path', 'label'"),
    "an open quote": ('uri,caption\na.jpg,"one\nb.jpg,two\n', "line 3: not CSV.*unexpected end"),
    "a quote that ends early": ('uri,caption\na.jpg,"one" two\n', "line 2: not CSV"),
    "a NUL": ("uri,caption\na.jpg,o\0ne\n", "line 2: it has NUL characters"),
    "a row without its uri": ("id,uri\n7\n", "line 2: `uri` is empty"),
    "the same column twice": ("uri,uri\na,b\n", "'uri' and 'uri' are both 'uri'"),
    "an open quote in the names": ('"uri,caption\na.jpg,one\n', "line 1: not CSV"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_that_loses_a_row_is_refused(kind: str, tmp_path: Path) -> None:
    text, said = TABLES[kind]
    with pytest.raises(ConfigError, match=said):
        names(written(tmp_path / "l.csv", text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("uri,caption\na.jpg\nb.jpg,x\n", ["a.jpg", "b.jpg"]),  # a short row
        ("uri,caption,,\na.jpg,x,,\nb.jpg,,,,,\n", ["a.jpg", "b.jpg"]),  # empty cells
        ("uri,caption\n,\na.jpg,x\n , \n\n", ["a.jpg"]),  # empty rows of a spreadsheet
        ('uri,caption\r\na.jpg,"x\r\ny"\r\nb.jpg,\r\n', ["a.jpg", "b.jpg"]),
        ('uri,caption\na.jpg,"say ""x"""\n', ["a.jpg"]),
        ('uri,caption\na.jpg,5" nails\nb.jpg,x\n', ["a.jpg", "b.jpg"]),
        ('"uri","caption"\n"a.jpg","x"\n', ["a.jpg"]),
        ("uri,caption\na.jpg,x\nuri,caption\nb.jpg,y\n", ["a.jpg", "b.jpg"]),  # joined files
        ("uri\n#1.jpg\n", ["#1.jpg"]),  # a comment in a .txt alone
    ],
)
def test_rows_that_are_read(text: str, expected: list[str], tmp_path: Path) -> None:
    assert names(written(tmp_path / "l.csv", text)) == expected


@pytest.mark.parametrize(
    ("text", "suffix"),
    [("uri,caption\na.jpg,x\n", ".csv"), ("id\tURI\n7\ta.jpg\n", ".tsv"), ("uri\na.jpg\n", ".csv"),
     ('"uri";"id"\n"a.jpg";7\n', ".csv")],
)  # fmt: skip
def test_a_table_called_txt_is_refused(text: str, suffix: str, tmp_path: Path) -> None:
    for content in (text.encode(), text.encode("utf-16")):  # Excel's "Unicode text"
        said = refused(written(tmp_path / "l.txt", content))
        first = text.splitlines()[0].replace("\t", " ")
        assert f"line 1: {first!r} names columns" in said
        assert said.endswith(f"call the list {suffix}")


# --- JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["l.json", "l.jsonl", "l.ndjson", "l.json.gz"])
@pytest.mark.parametrize("number", [1, 2, 5000])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("in_array", [True, False])
def test_objects_in_an_array_or_one_after_another(
    name: str, number: int, indent: int | None, in_array: bool, tmp_path: Path
) -> None:
    """Larger than a block of text, and over blocks' ends."""
    records = [
        {"caption": "ä" * (i % 97) + '\\"\n]}', "uri": f"{i}.jpg", "n": [{}, -1e5, True]}
        for i in range(number)
    ]
    text = json.dumps(records, indent=indent, ensure_ascii=False)
    if not in_array:
        text = "\n".join(json.dumps(record, indent=indent) for record in records)
    refs = list(list_images(str(written(tmp_path / name, text))))
    assert [ref.uri for ref in refs] == [f"{tmp_path}/{i}.jpg" for i in range(number)]
    assert [ref.caption for ref in refs] == [record["caption"] for record in records]


JSONS = {
    "an array that is cut": ('[{"uri": "a"},\n{"uri": "b"}', "line 2: the array does not end"),
    "cut behind a comma": ('[{"uri": "a"},\n', "line 2: the array does not end"),
    "cut in an object": ('[{"uri": "a"},\n{"uri": "b', "line 2: not JSON"),
    "an empty array": ("[]", "names no image"),
    "no comma": ('[{"uri": "a"}\n{"uri": "b"}]', "line 2: not JSON .expected a comma"),
    "a comma too many": ('[{"uri": "a"},\n]', "line 2: not JSON .expected a comma"),
    "more behind it": ('[{"uri": "a"}]\n[{"uri": "b"}]', "line 2: there is more behind"),
    "lists of lists": ('[["a.jpg"]]', "line 1: expected .*got"),
    "an object of lists": ('{"images": [{"uri": "a"}]}', "line 1: expected"),
    "a broken line": ('{"uri": "a"}\n{"uri": "b}\n{"uri": "c"}\n', "line 2: not JSON"),
    "a line without its end": ('{"uri": "a"}\n{"uri": "b"\n{"uri": "c"}\n', "line 3: not JSON"),
    "text": ("hello\n", "line 1: not JSON"),
    "single quotes": ("{'uri': 'a'}\n", "line 1: not JSON"),
    "a comma between lines": ('{"uri": "a"},\n{"uri": "b"}\n', "line 1: not JSON"),
}


@pytest.mark.parametrize("name", ["l.json", "l.jsonl", "l.ndjson.gz"])
@pytest.mark.parametrize("kind", JSONS)
def test_json_that_loses_a_row_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    text, said = JSONS[kind]
    with pytest.raises(ConfigError, match=said):
        names(written(tmp_path / name, text))


def test_an_error_in_a_long_array_names_its_line(tmp_path: Path) -> None:
    lines = [json.dumps({"uri": f"{i}.jpg", "caption": "x" * 50}) for i in range(9000)]
    lines[7654] = lines[7654].replace(":", "", 1)
    text = "[\n" + ",\n".join(lines) + "\n]"
    assert "line 7656: not JSON (Expecting ':' delimiter" in refused(
        written(tmp_path / "l.json", text)
    )
    lines[7654] = '{"uri": "ü.jpg"}'
    latin = ("[\n" + ",\n".join(lines) + "\n]").encode("latin-1")
    assert "line 7656: not UTF-8" in refused(written(tmp_path / "l.json", latin))


def test_an_object_that_is_far_too_long_is_refused(tmp_path: Path) -> None:
    long = json.dumps([{"uri": "a.jpg"}, {"uri": "b.jpg", "outline": "x" * 300_000}])
    assert "line 1: more than 262,144 characters" in refused(written(tmp_path / "l.json", long))
    with (tmp_path / "l.json").open("wb") as file:
        file.write(b'[{"uri": "' + b"x" * 5_000_000)
    assert "line 1: more than 262,144 characters" in refused(tmp_path / "l.json")
