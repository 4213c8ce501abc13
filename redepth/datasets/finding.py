"""The ground truth that a command is given: a data set's folder or file, or a list of pairs."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from redepth.datasets import dataset_named
from redepth.datasets.depth_file import DepthFile
from redepth.datasets.names import path_of
from redepth.datasets.part import DepthDataset
from redepth.errors import ConfigError
from redepth.images.data_files import read_text
from redepth.images.uris import canonical_uri, is_local
from redepth.printable import one_line

COLUMNS = "uri", "ground_truth"
_DELIMITERS = ",;\t"  # spreadsheets write the last two in some countries, and as "Unicode text"
_LONGEST_SHOWN = 80


def find_ground_truth(where: Path, dataset_format: str, partial: bool = False) -> list[DepthFile]:
    """Return the depth files of a folder, or those that a list names.

    Args:
        where: the data set's folder, or one of its depth files; or a .csv with columns `uri` (the
            photograph) and `ground_truth` (its file in this format), both relative to the list or
            absolute. Further columns are ignored.
        partial: whether a file that a list names and that is not there is found out when it is
            read, instead of refused here.

    Raises:
        ConfigError: no such format, nothing there, or a list that cannot be understood; names the
            line.
    """
    dataset = dataset_named(dataset_format)
    if where.suffix.lower() == ".csv":
        return _read_list(where, dataset, partial)
    return dataset.find(where)


def _read_list(path: Path, dataset: DepthDataset, partial: bool) -> list[DepthFile]:
    if not path.is_file():
        raise ConfigError(f"no list {path}")
    found: dict[str, DepthFile] = {}
    for line, uri, name in _pairs(path):
        depth = path.parent / name
        # Of a name that is too long Path.is_file raises, this says no.
        if not partial and not os.path.isfile(depth):  # noqa: PTH113
            raise ConfigError(f"{path}, line {line} names {depth}, which is not there")
        photograph = _photograph(uri, path.parent)
        stated = DepthFile(
            posixpath.splitext(photograph)[0], depth, dataset.read, photograph, path.parent,
            is_stated=True,
        )  # fmt: skip
        if found.setdefault(photograph, stated).path != depth:
            raise ConfigError(
                f"{path}, line {line}: {one_line(uri, _LONGEST_SHOWN)} has two files, "
                f"{found[photograph].path} and {depth}: remove one of the lines"
            )
    return list(found.values())


def _pairs(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line number, uri and ground truth of each row that is not empty."""
    text = read_text(path)
    line = 1
    try:
        delimiter, columns = _header_of(path, text)
        lines = io.StringIO(text, newline="")
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        for cells in islice(reader, 1, None):
            line = reader.line_num
            if any(cell.strip() for cell in cells):
                yield line, *_cells(f"{path}, line {line}", cells, columns)
    except csv.Error as error:
        raise ConfigError(f"{path}, line {line}: not readable as CSV ({error})") from error


def _cells(where: str, cells: Sequence[str], columns: Sequence[str]) -> tuple[str, str]:
    if len(cells) > len(columns):
        raise ConfigError(
            f"{where} has {len(cells)} fields, the first line {len(columns)}: put a name that "
            "holds a comma in quotes"
        )
    named = dict(zip(columns, cells, strict=False))
    uri, ground_truth = (named.get(column, "").strip() for column in COLUMNS)
    if not uri or not ground_truth:
        raise ConfigError(f"{where}: expected {' and '.join(COLUMNS)}, got {cells}")
    return uri, ground_truth


def _header_of(path: Path, text: str) -> tuple[str, list[str]]:
    """Return what parts the fields, and the columns' names: lower case, blanks as underscores."""
    first = text.splitlines()[:1]
    for delimiter in _DELIMITERS:
        columns = [
            re.sub(r"[\s-]+", "_", name.strip().casefold())
            for name in next(csv.reader(first, delimiter=delimiter), [])
        ]
        counts = [columns.count(column) for column in COLUMNS]
        if max(counts) > 1:
            raise ConfigError(f"{path} has a column twice: {', '.join(columns)}; rename one")
        if min(counts) == 1:
            return delimiter, columns
    said = one_line(first[0], _LONGEST_SHOWN) if first else "nothing"
    raise ConfigError(
        f"{path}: expected a list with the columns {' and '.join(COLUMNS)}, the first line is "
        f"{said}"
    )


def _photograph(uri: str, folder: Path) -> str:
    """Return the path that the photograph's own has to end in."""
    path = posixpath.normpath(uri) if "://" not in uri else uri
    if is_local(path) and path.startswith(("/", "..", "~", "file:")):
        path = canonical_uri(path, canonical_uri(str(folder)))
    return path_of(path)
