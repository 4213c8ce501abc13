"""One record of a listing becomes a Row: the rules for uri, id, caption and camera, said once.

Every reader (text, table, JSON, Parquet, tar) finds its columns by `fields_of` and makes its rows
by `row_of`, so that a value means the same wherever it stands:

- nothing: null, NaN, an empty text, white space;
- a text is taken without the white space around it; bytes are UTF-8;
- a whole number is its digits, 7.0 too (a table with holes has floats for whole numbers);
- of several captions the first is taken;
- anything else (true, an object, a list, a date) is refused, with its line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from redepth.errors import ConfigError
from redepth.images.camera import LARGEST_FOV_DEG, SMALLEST_FOV_DEG
from redepth.printable import one_line
from redepth.redaction import redacted_text

FIELDS = ("uri", "id", "caption", "focal_px", "fov_deg")
NEEDED = {"uri": "paths or URLs"}
LONGEST_TEXT = 2**14  # of a caption, an id or a uri: more is no caption
_BLANKS = re.compile(r"[\s-]+")
_LARGEST_WHOLE_FLOAT = 2**53  # beyond it two numbers are one float
_LONGEST_SHOWN = 80
_NAMES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a list or a container: where it stands, and what it says.

    Attributes:
        id: not empty, without white space around it; None where the record has none.
        focal_px: of the camera, in pixels of the whole upright photograph; > 0.
        fov_deg: or its horizontal field of view; in 1..175. A row has one of them at most.
    """

    where: str
    uri: str
    id: str | None = None
    caption: str | None = None
    focal_px: float | None = None
    fov_deg: float | None = None


def row_of(where: str, record: Mapping[str, Any], uri: str | None = None) -> Row:
    """Return what a record says.

    Args:
        where: names the record for a person (file and line).
        record: values by the names in `FIELDS`, of any type; further ones are ignored.
        uri: of a photograph that lies in the container itself, where no column names it.

    Raises:
        ConfigError: a value means nothing in its field, or there is no uri.
    """
    uri = _short(where, "uri", record.get("uri")) if uri is None else uri
    if uri is None:
        raise ConfigError(f"{where}: `uri` is empty")
    focal_px, fov_deg = _camera(where, record)
    return Row(
        where,
        uri,
        _short(where, "id", record.get("id")),
        caption_of(where, record.get("caption")),
        focal_px,
        fov_deg,
    )


def caption_of(where: str, value: object) -> str | None:
    """Return a caption, None for an empty one.

    Raises:
        ConfigError: as `row_of`.
    """
    return _short(where, "caption", value, _caption)


def fields_of(where: str, names: Sequence[str], fields: Sequence[str] = FIELDS) -> dict[str, int]:
    """Find the columns that mean something: their positions, by field.

    White space around a name, a blank or a dash for an underscore, and upper or lower case, make no
    difference.

    Raises:
        ConfigError: two columns are one field.
    """
    found: dict[str, int] = {}
    for position, name in enumerate(names):
        field = _BLANKS.sub("_", name.strip().casefold())
        if field not in fields:
            continue
        if field in found:
            raise ConfigError(
                f"{where}: the columns {names[found[field]]!r} and {name!r} are both {field!r}: "
                "rename or remove one"
            )
        found[field] = position
    return found


def require_columns(
    where: str, found: Mapping[str, int], names: Sequence[str], needed: Mapping[str, str] = NEEDED
) -> None:
    """Refuse a table that lacks a column.

    Args:
        needed: the fields that have to be there, and what they hold, in words.

    Raises:
        ConfigError: says which columns it has.
    """
    missing = next((field for field in needed if field not in found), None)
    if missing is None:
        return
    shown = ", ".join(repr(one_line(name, _LONGEST_SHOWN)) for name in names[:_NAMES_SHOWN])
    raise ConfigError(
        f"{where} has no column `{missing}`; it has {shown or 'none'}"
        f"{', ...' if len(names) > _NAMES_SHOWN else ''}: rename the column that holds "
        f"{needed[missing]} to `{missing}`, or write such a line of names first if there is none"
    )


def _short(
    where: str, name: str, value: object, text_of: Callable[[Any], str | None] | None = None
) -> str | None:
    """Return a text that every catalogue row may carry; raise ConfigError of what is none."""
    if value is None:
        return None
    try:
        text = (text_of or _text)(value)
    except ValueError as error:
        raise ConfigError(
            f"{where}: `{name}` is {_shown(value)}, expected {error}; write it as text"
        ) from error
    if text is not None and len(text) > LONGEST_TEXT:
        raise ConfigError(
            f"{where}: `{name}` has {len(text):,} characters, expected {LONGEST_TEXT:,} at most; "
            "shorten it"
        )
    return text


def _text(value: object) -> str | None:
    """Return a value as text; raises ValueError with what was expected."""
    return _TEXT_OF.get(type(value), _no_text)(value)


def _caption(value: object) -> str | None:
    """As `_text`, of the first of several; what is not UTF-8 in it is put as U+FFFD."""
    if type(value) is list:
        value = value[0] if value else None
    if type(value) is bytes:
        value = value.decode(errors="replace")
    return _text(value)


def _no_text(value: object) -> str | None:
    raise ValueError("a text or a number")


def _text_of_bytes(value: bytes) -> str | None:
    try:
        return value.decode().strip() or None
    except UnicodeDecodeError:
        raise ValueError("UTF-8") from None


def _text_of_float(value: float) -> str | None:
    if math.isnan(value):
        return None
    if not abs(value) < _LARGEST_WHOLE_FLOAT:
        raise ValueError("a number whose digits are all known")
    return str(int(value)) if value.is_integer() else repr(value)


_TEXT_OF: Mapping[type, Callable[[Any], str | None]] = {
    NoneType: lambda _: None,
    str: lambda value: value.strip() or None,
    bytes: _text_of_bytes,
    int: str,
    float: _text_of_float,
}


def _camera(where: str, record: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return `focal_px` and `fov_deg` of a record, None where it has none.

    Raises:
        ConfigError: not a number, a focal length or a field of view that cannot be, or both.
    """
    if "focal_px" not in record and "fov_deg" not in record:  # of most lists
        return None, None
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
    value = record.get(name)
    try:
        number = _NUMBER_OF.get(type(value), _no_number)(value)
    except (ValueError, OverflowError):
        number = math.inf
    if number is not None and not math.isfinite(number):
        raise ConfigError(f"{where}: {name} is {_shown(value)}, expected a number or nothing")
    return number


def _no_number(value: object) -> float | None:
    raise ValueError


def _number_of_text(value: str) -> float | None:
    return float(value) if value.strip() else None


_NUMBER_OF: Mapping[type, Callable[[Any], float | None]] = {
    NoneType: lambda _: None,
    str: _number_of_text,
    bytes: lambda value: _number_of_text(value.decode()),
    int: float,
    float: lambda value: None if math.isnan(value) else value,
}


def _shown(value: object) -> str:
    return one_line(redacted_text(repr(value)), _LONGEST_SHOWN)
