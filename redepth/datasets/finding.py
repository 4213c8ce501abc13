"""The ground truth that a command is given: a data set's folder or file, or a list of pairs."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

from redepth.datasets import dataset_named
from redepth.datasets.depth_file import DepthFile
from redepth.datasets.names import path_of
from redepth.datasets.part import DepthDataset
from redepth.errors import ConfigError
from redepth.images.lists.tables import is_table, table_rows
from redepth.images.lists.text import opened_list
from redepth.images.uris import canonical_uri, is_local
from redepth.printable import one_line

COLUMNS = {"uri": "the photographs' paths", "ground_truth": "the paths of their depth files"}
_LONGEST_SHOWN = 80


def find_ground_truth(where: Path, dataset_format: str, partial: bool = False) -> list[DepthFile]:
    """Return the depth files of a folder, or those that a list names.

    Args:
        where: the data set's folder, or one of its depth files; or a .csv or .tsv with columns
            `uri` (the photograph) and `ground_truth` (its file in this format), both relative to
            the list or absolute. Further columns are ignored.
        partial: whether a file that a list names and that is not there is found out when it is
            read, instead of refused here.

    Raises:
        ConfigError: no such format, nothing there, or a list that cannot be understood; names the
            line.
    """
    dataset = dataset_named(dataset_format)
    if is_table(str(where)):
        return _read_list(where, dataset, partial)
    return dataset.find(where)


def _read_list(path: Path, dataset: DepthDataset, partial: bool) -> list[DepthFile]:
    if not path.is_file():
        raise ConfigError(f"no list {path}")
    found: dict[str, DepthFile] = {}
    for place, uri, name in _pairs(path):
        depth = path.parent / name
        # Of a name that is too long Path.is_file raises, this says no.
        if not partial and not os.path.isfile(depth):  # noqa: PTH113
            raise ConfigError(f"{place} names {depth}, which is not there")
        photograph = _photograph(uri, path.parent)
        stated = DepthFile(
            posixpath.splitext(photograph)[0], depth, dataset.read, photograph, path.parent,
            is_stated=True,
        )  # fmt: skip
        if found.setdefault(photograph, stated).path != depth:
            raise ConfigError(
                f"{place}: {one_line(uri, _LONGEST_SHOWN)} has two files, "
                f"{found[photograph].path} and {depth}: remove one of the lines"
            )
    return list(found.values())


def _pairs(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield of each row where it stands, the photograph's uri and the name of its depth file."""
    with opened_list(str(path)) as text:
        for cells in table_rows(text, tuple(COLUMNS), COLUMNS):
            uri, ground_truth = (cells.get(column, "").strip() for column in COLUMNS)
            if not uri or not ground_truth:
                raise ConfigError(
                    f"{text.where}: expected {' and '.join(COLUMNS)}, got {uri!r} and "
                    f"{ground_truth!r}"
                )
            yield text.where, uri, ground_truth


def _photograph(uri: str, folder: Path) -> str:
    """Return the path that the photograph's own has to end in."""
    path = posixpath.normpath(uri) if "://" not in uri else uri
    if is_local(path) and path.startswith(("/", "..", "~", "file:")):
        path = canonical_uri(path, canonical_uri(str(folder)))
    return path_of(path)
