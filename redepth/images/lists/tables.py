"""Tables as people save them: a line of names, then rows, split as the names are."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence

from redepth.errors import ConfigError
from redepth.images.lists.rows import fields_of, require_columns
from redepth.images.lists.text import PACKED, ListText
from redepth.images.uris import file_name
from redepth.printable import one_line

# Spreadsheets write the second and the third in some countries, and as "Unicode text".
SEPARATORS = {".csv": (",", ";", "\t"), ".tsv": ("\t", ",", ";")}


def is_table(uri: str) -> bool:
    """Whether the name is that of a table of text, packed or not."""
    return file_name(uri).removesuffix(PACKED).endswith(tuple(SEPARATORS))


def table_rows(
    text: ListText, fields: Sequence[str], needed: Mapping[str, str]
) -> Iterator[dict[str, str]]:
    """Yield each row's cells by field; `text.where` names its line meanwhile.

    Rows without anything in them are passed over, and so are the names once more, of joined files.

    Args:
        fields: that mean something; further columns are ignored.
        needed: those that have to be there, and what they hold, in words.

    Raises:
        ConfigError: a needed column is missing or there twice, or a row has more cells than names
            or cannot be split; names the line.
    """
    lines = text.lines()
    names, separator = _names_and_separator(text, next(lines, ""), fields, needed)
    places = fields_of(text.name, names, fields)
    require_columns(text.name, places, names, needed)
    try:
        for cells in _split(lines, separator):
            if any(map(str.strip, cells)) and cells != names:
                _require_no_more(text, cells, names)
                yield {field: cells[i] for field, i in places.items() if i < len(cells)}
    except csv.Error as error:
        raise _unsplit(text, error) from error


def _names_and_separator(
    text: ListText, line: str, fields: Sequence[str], needed: Mapping[str, str]
) -> tuple[list[str], str]:
    """Split the line of names by what makes all that is needed of them."""
    suffix = next(
        end for end in SEPARATORS if file_name(text.name).removesuffix(PACKED).endswith(end)
    )
    found: list[tuple[list[str], str]] = []
    for separator in SEPARATORS[suffix]:
        try:
            names = next(_split([line], separator), [])
        except csv.Error as error:
            raise _unsplit(text, error) from error
        found.append((names, separator))
        if fields_of(text.name, names, fields).keys() >= needed.keys():
            return names, separator
    return max(found, key=lambda split: len(split[0]))


def _split(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True)


def _require_no_more(text: ListText, cells: Sequence[str], names: Sequence[str]) -> None:
    if any(map(str.strip, cells[len(names) :])):
        raise ConfigError(
            f"{text.where}: {len(cells)} cells, expected {len(names)} as in line 1: put a cell "
            'with the separator in it in quotes ("...")'
        )


def _unsplit(text: ListText, error: csv.Error) -> ConfigError:
    return ConfigError(f"{text.where}: not CSV that can be read ({one_line(str(error))})")
