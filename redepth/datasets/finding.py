"""The ground truth that a command is given: a data set's folder, or a list of files."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from redepth.datasets import dataset_named
from redepth.datasets.depth_file import DepthFile
from redepth.datasets.part import DepthDataset
from redepth.errors import ConfigError
from redepth.images.data_files import read_text

COLUMNS = "uri", "ground_truth"


def find_ground_truth(where: Path, dataset_format: str) -> list[DepthFile]:
    """Return the depth files of a folder, or those that a list names.

    Args:
        where: the data set's folder; or a .csv with columns `uri` (the photograph) and
            `ground_truth` (its file in this format), both relative to the list or absolute.

    Raises:
        ConfigError: no such format, nothing there, or a list without those columns.
    """
    dataset = dataset_named(dataset_format)
    if where.suffix.lower() == ".csv":
        return _read_list(where, dataset)
    return dataset.find(where)


def _read_list(path: Path, dataset: DepthDataset) -> list[DepthFile]:
    if not path.is_file():
        raise ConfigError(f"no list {path}")
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
    except csv.Error as error:
        raise ConfigError(f"{path} is not a readable CSV file: {error}") from error
    if not rows or not set(COLUMNS) <= set(rows[0]):
        raise ConfigError(f"{path}: expected a list with the columns {' and '.join(COLUMNS)}")
    found = []
    for row in rows:
        uri, name = (row[column] or "" for column in COLUMNS)
        depth = path.parent / name
        if not depth.is_file():
            raise ConfigError(f"{path} names {depth}, which is not there")
        found.append(DepthFile(str(Path(uri).with_suffix("")), depth, dataset.read))
    return found
