"""The pieces an export is made of, and which of them are there already and still true.

A piece is one image or, in sharded formats, one shard: what is written together. The catalogue of
the export names every image with the place its pixels came from. A label that was tried again since
has another place, and its piece is then written anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from redepth.exports.part import ExportFacts, ExportFormat
from redepth.store.objects import Objects

# Of every piece the columns of PLACE of each of its images.
Places = Mapping[str, Sequence[tuple[object, ...]]]
PLACE = ("id", "name", "array_group", "array_index")


def written(root: Objects, exporter: ExportFormat, export: ExportFacts) -> set[str]:
    """List every object of every piece that is there."""
    return {name for folder in exporter.folders(export) for name in below(root, folder)}


def below(root: Objects, folder: str) -> list[str]:
    """List every object of a folder and of those in it."""
    inner = [name for one in root.folders(folder) for name in below(root, f"{folder}/{one}")]
    return [*root.list(folder, ""), *inner]


def pieces_of(rows: pa.Table, exporter: ExportFormat) -> list[str]:
    """Name the piece of every row."""
    named = zip(rows["name"].to_pylist(), rows["shard"].to_pylist(), strict=True)
    return [exporter.piece_of(name, shard) for name, shard in named]


def places(rows: pa.Table, exporter: ExportFormat) -> dict[str, list[tuple[object, ...]]]:
    """Return of every piece its images, their names, and where their pixels lie in the store."""
    found: dict[str, list[tuple[object, ...]]] = {}
    columns = (rows[name].to_pylist() for name in PLACE)
    for piece, *place in zip(pieces_of(rows, exporter), *columns, strict=True):
        found.setdefault(piece, []).append(tuple(place))
    return found


def outdated(before: Places, now: Places) -> list[str]:
    """Name the pieces of an earlier catalogue that hold something else now, or nothing."""
    return [piece for piece, held in before.items() if held != now.get(piece)]
