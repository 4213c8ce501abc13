"""Lists of images: .txt, .csv, .jsonl and .parquet, read row by row from any fsspec URL.

A .txt holds one uri a line; blank lines and lines that begin with # are passed over. The others
have a column (or key) `uri` and perhaps `caption`, `id`, and `focal_px` or `fov_deg`; further ones
are ignored.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TextIO

from redepth.errors import ConfigError
from redepth.images.camera import LARGEST_FOV_DEG, SMALLEST_FOV_DEG
from redepth.images.opening import open_source
from redepth.images.parquet_bounds import LONGEST_TEXT, bounded_rows
from redepth.printable import one_line
from redepth.redaction import redacted_text

_LONGEST_LINE = 2**18  # characters: room for uri, id and caption, whatever escapes they take
_COLUMNS = ("uri", "id", "caption", "focal_px", "fov_deg")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list: where it stands, and what it says.

    Attributes:
        focal_px: of the camera, in pixels of the whole upright photograph; > 0.
        fov_deg: or its horizontal field of view; in 1..175. A row has one of them at most.
    """

    where: str
    uri: str
    id: str | None = None
    caption: str | None = None
    focal_px: float | None = None
    fov_deg: float | None = None


def is_list(uri: str) -> bool:
    """Whether the name is that of a list file."""
    return _suffix(uri) in _READERS


def read_rows(list_uri: str) -> Iterator[Row]:
    """Yield a list's rows in their order, without holding the list.

    Raises:
        ConfigError: a row or the whole list cannot be understood; names the line.
    """
    with _told_as_config_error(list_uri):
        yield from _READERS[_suffix(list_uri)](list_uri)


@contextmanager
def _told_as_config_error(list_uri: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise ConfigError(f"{list_uri} is not UTF-8 text ({error}): save it as UTF-8") from error
    except csv.Error as error:
        raise ConfigError(f"{list_uri} is not a readable CSV file: {error}") from error


def _suffix(uri: str) -> str:
    return PurePosixPath(uri.partition("::")[0]).suffix.lower()


@contextmanager
def _opened_text(list_uri: str) -> Iterator[Iterator[str]]:
    filesystem, path = open_source(list_uri)
    with filesystem.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        yield _lines(list_uri, file)


def _lines(list_uri: str, file: TextIO) -> Iterator[str]:
    """Yield the lines; a file without line ends is not read whole to find that out."""
    number = 1
    while line := file.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise ConfigError(
                f"{list_uri}, line {number}: more than {_LONGEST_LINE:,} characters, expected one "
                "image a line; is it a list?"
            )
        yield line
        number += 1


def _rows_of_txt(list_uri: str) -> Iterator[Row]:
    with _opened_text(list_uri) as lines:
        for number, line in enumerate(lines, start=1):
            uri = line.strip()
            if uri and not uri.startswith("#"):
                where = f"{list_uri}, line {number}"
                yield Row(where, _short(where, "uri", uri))


def _rows_of_csv(list_uri: str) -> Iterator[Row]:
    with _opened_text(list_uri) as lines:
        reader = csv.DictReader(lines)
        _require_uri_column(list_uri, list(reader.fieldnames or []))
        for record in reader:
            yield _row(f"{list_uri}, line {reader.line_num}", record)


def _rows_of_jsonl(list_uri: str) -> Iterator[Row]:
    with _opened_text(list_uri) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                where = f"{list_uri}, line {number}"
                yield _row(where, _json_object(where, line))


def _json_object(where: str, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}: not JSON ({error.msg} at column {error.colno})") from error
    except (ValueError, RecursionError) as error:  # a number without end, braces without end
        raise ConfigError(f"{where}: not JSON that can be read ({error})") from error
    if not isinstance(record, dict) or "uri" not in record:
        said = one_line(redacted_text(line.strip()), 80)
        raise ConfigError(f'{where}: expected {{"uri": ..., ...}}, got {said}')
    return record


def _rows_of_parquet(list_uri: str) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    filesystem, path = open_source(list_uri)
    try:
        with filesystem.open(path, "rb") as file:
            schema_names = pyarrow.parquet.ParquetFile(file).schema_arrow.names
            _require_uri_column(list_uri, schema_names)
            columns = [name for name in _COLUMNS if name in schema_names]
            for number, record in enumerate(bounded_rows(list_uri, file, columns), start=1):
                yield _row(f"{list_uri}, row {number}", record)
    except pyarrow.ArrowException as error:
        raise ConfigError(f"{list_uri} is not a readable Parquet file: {error}") from error


def _require_uri_column(list_uri: str, columns: list[str]) -> None:
    if "uri" not in columns:
        raise ConfigError(
            f"{list_uri} has no column `uri`; it has {', '.join(map(repr, columns)) or 'none'}: "
            "rename the column that holds paths or URLs to `uri`"
        )


def _row(where: str, record: dict[str, Any]) -> Row:
    uri = _text(record["uri"])
    if uri is None:
        raise ConfigError(f"{where}: `uri` is empty")
    focal_px, fov_deg = camera_of(where, record)
    own_id, caption = (_text(record.get(name)) for name in ("id", "caption"))
    for name, text in (("uri", uri), ("id", own_id), ("caption", caption)):
        _short(where, name, text or "")
    return Row(where, uri, own_id, caption, focal_px, fov_deg)


def _short(where: str, name: str, text: str) -> str:
    """Return a text that every catalogue row may carry; raise ConfigError of a longer one."""
    if len(text) > LONGEST_TEXT:
        raise ConfigError(
            f"{where}: `{name}` has {len(text):,} characters, expected {LONGEST_TEXT:,} at most; "
            "shorten it"
        )
    return text


def camera_of(where: str, record: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return `focal_px` and `fov_deg` of a row, None where it is empty.

    Raises:
        ConfigError: not a number, a focal length or a field of view that cannot be, or both.
    """
    focal_px, fov_deg = (_number(where, record, name) for name in ("focal_px", "fov_deg"))
    if focal_px is not None and fov_deg is not None:
        raise ConfigError(
            f"{where}: it has focal_px {focal_px:g} and fov_deg {fov_deg:g}: leave one of them "
            "empty, for they may contradict each other"
        )
    if focal_px is not None and not focal_px > 0:
        raise ConfigError(
            f"{where}: focal_px is {focal_px:g}, expected a focal length above 0, in pixels of the "
            "whole upright photograph; leave it empty where it is not known"
        )
    if fov_deg is not None and not SMALLEST_FOV_DEG <= fov_deg <= LARGEST_FOV_DEG:
        raise ConfigError(
            f"{where}: fov_deg is {fov_deg:g}, expected the horizontal field of view, "
            f"{SMALLEST_FOV_DEG:g} to {LARGEST_FOV_DEG:g} degrees; leave it empty where it is not "
            "known"
        )
    return focal_px, fov_deg


def _number(where: str, record: Mapping[str, Any], name: str) -> float | None:
    text = _text(record.get(name))
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{where}: {name} is {text!r}, expected a number or nothing")
    return number


def _text(value: object) -> str | None:
    """Return a cell as text; None for an empty one."""
    return str(value).strip() or None if value is not None else None


_READERS: dict[str, Callable[[str], Iterator[Row]]] = {
    ".txt": _rows_of_txt,
    ".csv": _rows_of_csv,
    ".jsonl": _rows_of_jsonl,
    ".parquet": _rows_of_parquet,
}
