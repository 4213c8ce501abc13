"""Lists of images, read row by row from any fsspec URL.

| name ends in | what it holds |
|---|---|
| `.txt` | one uri a line; blank lines and lines that begin with # are passed over |
| `.csv` `.tsv` | a line of names, then rows; split by comma, semicolon or tab, as the names are |
| `.jsonl` `.ndjson` `.json` | objects, one a line or in an array |
| `.parquet` | a table |

Each but the last may be packed: `.csv.gz`. A table or object has a column (or key) `uri` and
perhaps `caption`, `id`, and `focal_px` or `fov_deg`; further ones are ignored. What their values
may be is said in `rows`, for all alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from redepth.errors import ConfigError
from redepth.images.lists.parquet_bounds import bounded_rows, readable_parquet
from redepth.images.lists.rows import FIELDS, NEEDED, Row, fields_of, require_columns, row_of
from redepth.images.lists.tables import SEPARATORS, table_rows
from redepth.images.lists.text import LONGEST_LINE, PACKED, ListText, opened_list
from redepth.images.opening import open_source
from redepth.images.uris import file_name
from redepth.printable import one_line
from redepth.redaction import redacted_text

PARQUET = ".parquet"
_LONGEST_NAMES = 1_000  # characters of a first line that are looked at for names
_BETWEEN = re.compile("[ \t\n\r\ufeff]*")
_LONGEST_WORD = 16  # of JSON that a block's end may have cut in two: -Infinity, an escape
_NOT_ENDED = "Unterminated string"


def is_list(uri: str) -> bool:
    """Whether the name is that of a list file."""
    return list_suffix(uri) in LIST_SUFFIXES


def list_suffix(uri: str) -> str:
    """Return the last suffix of a name in lower case, the one before `.gz` with it."""
    name = PurePosixPath(file_name(uri))
    return "".join(name.suffixes[-2:]) if name.suffix == PACKED else name.suffix


def read_rows(list_uri: str) -> Iterator[Row]:
    """Yield a list's rows in their order, without holding the list.

    Raises:
        ConfigError: a row or the whole list cannot be understood; names the line.
    """
    if list_suffix(list_uri) == PARQUET:
        yield from _rows_of_parquet(list_uri)
        return
    with opened_list(list_uri) as text:
        yield from _TEXTS[list_suffix(list_uri)](text)


def _rows_of_txt(text: ListText) -> Iterator[Row]:
    for line in text.lines():
        uri = line.strip()
        if text.line == 1:
            _require_no_table(text, uri)
        if uri and not uri.startswith("#"):
            yield row_of(text.where, {"uri": uri})


def _require_no_table(text: ListText, first_line: str) -> None:
    """Refuse a table that is called .txt, as spreadsheets do: its rows would be taken for names."""
    for separator in SEPARATORS[".csv"]:
        names = [name.strip('"') for name in first_line[:_LONGEST_NAMES].split(separator)]
        if "uri" in fields_of(text.where, names):
            kind = ".tsv" if separator == "\t" else ".csv"
            raise ConfigError(
                f"{text.where}: {one_line(first_line, 80)!r} names columns, and in a .txt each "
                f"line is one uri: call the list {kind}"
            )


def _rows_of_table(text: ListText) -> Iterator[Row]:
    for record in table_rows(text, FIELDS, NEEDED):
        yield row_of(text.where, record)


def _rows_of_json(text: ListText) -> Iterator[Row]:
    for record in _JsonValues(text):
        names = [name for name, _ in record] if isinstance(record, _Pairs) else []
        fields = fields_of(text.where, names)
        if "uri" not in fields:
            said = one_line(redacted_text(json.dumps(record)), 80)
            raise ConfigError(f'{text.where}: expected {{"uri": ..., ...}}, got {said}')
        yield row_of(text.where, {name: record[i][1] for name, i in fields.items()})


class _Pairs(tuple[tuple[str, Any], ...]):
    """A JSON object: a dict would keep one of two equal keys without a word."""

    __slots__ = ()


class _JsonValues:
    """The values of a JSON text, one after another or in one array; a block of it is held."""

    def __init__(self, text: ListText) -> None:
        self._text = text
        self._blocks = text.blocks()
        self._held = ""
        self._at = 0
        self._is_array = False
        self._decode = json.JSONDecoder(object_pairs_hook=_Pairs).raw_decode

    def __iter__(self) -> Iterator[Any]:
        """Yield them; meanwhile the text's `line` is the one on which each begins.

        Raises:
            ConfigError: no JSON, or an array that does not end.
        """
        self._text.line = 1
        self._is_array = self._next_sign() == "["
        if self._is_array:
            self._at += 1
        while self._next_sign() not in self._ends:
            value, end = self._value()
            yield value
            self._advance(end)
            if self._is_array:
                self._pass_comma()
        if self._is_array:
            self._require_end()

    @property
    def _ends(self) -> tuple[str, ...]:
        return ("", "]") if self._is_array else ("",)

    def _next_sign(self) -> str:
        """Move to the next character that is no white space; return it, "" at the end."""
        while True:
            found = _BETWEEN.match(self._held, self._at)
            self._advance(self._at if found is None else found.end())
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._read_on():
                return ""

    def _advance(self, end: int) -> None:
        self._text.line += self._held.count("\n", self._at, end)
        self._at = end

    def _read_on(self) -> bool:
        block = next(self._blocks, "")
        self._held = self._held[self._at :] + block
        self._at = 0
        return bool(block)

    def _value(self) -> tuple[Any, int]:
        """Decode the value that begins here, and say where it ends."""
        while len(self._held) - self._at <= 2 * LONGEST_LINE:
            try:
                value, end = self._decode(self._held, self._at)
            except json.JSONDecodeError as error:
                behind = error.pos - self._at
                if not (self._may_be_cut(error) and self._read_on()):
                    raise self._no_json(error, behind) from error
            except (ValueError, RecursionError) as error:  # a number, or braces, without end
                raise ConfigError(
                    f"{self._text.where}: not JSON that can be read ({error})"
                ) from error
            else:
                if end - self._at > LONGEST_LINE:
                    break
                return value, end
        raise self._text.too_long()

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether more of the text could make it right, or show its line to be far too long."""
        return (
            error.msg.startswith(_NOT_ENDED)
            or error.pos >= len(self._held) - _LONGEST_WORD
            or (not self._is_array and "\n" not in self._held[self._at :])
        )

    def _no_json(self, error: json.JSONDecodeError, behind: int) -> ConfigError:
        """Return the error of a place so many characters behind the value's beginning."""
        if self._held[self._at + behind :].strip():  # else it ends too early: say where it begins
            self._advance(self._at + behind)
        return ConfigError(f"{self._text.where}: not JSON ({error.msg} at column {error.colno})")

    def _pass_comma(self) -> None:
        """Move behind the comma between two values of an array; one has to follow."""
        if self._next_sign() in self._ends:
            return
        is_comma = self._held[self._at] == ","
        self._at += 1
        if not is_comma or self._next_sign() == "]":
            raise ConfigError(f"{self._text.where}: not JSON (expected a comma and an object)")

    def _require_end(self) -> None:
        if self._next_sign() != "]":
            raise ConfigError(
                f"{self._text.where}: the array does not end with a ]: the list has been cut, "
                "fetch it again"
            )
        self._at += 1
        if self._next_sign():
            raise ConfigError(f"{self._text.where}: there is more behind the array's end")


def _rows_of_parquet(list_uri: str) -> Iterator[Row]:
    import pyarrow.parquet as pq

    filesystem, path = open_source(list_uri)
    with readable_parquet(list_uri), filesystem.open(path, "rb") as file:
        names = pq.ParquetFile(file).schema_arrow.names
        fields = fields_of(list_uri, names)
        require_columns(list_uri, fields, names)
        columns = {field: names[i] for field, i in fields.items()}
        for number, record in enumerate(bounded_rows(list_uri, file, columns), start=1):
            yield row_of(f"{list_uri}, row {number}", record)


_TEXTS: dict[str, Callable[[ListText], Iterator[Row]]] = {
    ".txt": _rows_of_txt,
    ".csv": _rows_of_table,
    ".tsv": _rows_of_table,
    ".jsonl": _rows_of_json,
    ".ndjson": _rows_of_json,
    ".json": _rows_of_json,
}
_TEXTS |= {suffix + PACKED: rows_of for suffix, rows_of in _TEXTS.items()}
LIST_SUFFIXES = (*_TEXTS, PARQUET)
