"""The pieces an export is made of, and which of them are there already and still true.

A piece is one image or, in sharded formats, one shard: what is written together. The catalogue of
the export names every image with the place its pixels came from. A label that was tried again since
has another place, and its piece is then written anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from redepth.exports.items import file_name
from redepth.exports.request import ExportFormat, ExportRequest
from redepth.store.objects import Objects

Places = Mapping[str, Sequence[tuple[str, str, int]]]

SHARDS = "shards"
IMAGES = "image"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the objects of a piece lie, relative to the export's root."""

    request: ExportRequest

    def piece_of(self, image_id: str, shard: str) -> str:
        """Name the piece an image belongs to."""
        return shard if self.request.format.is_sharded else file_name(image_id)

    def objects(self, piece: str) -> list[str]:
        """Name a piece's objects; it is whole when all of them are there."""
        suffix = self.request.format.suffix
        if self.request.format.is_sharded:
            return [f"{SHARDS}/{piece}.{suffix}"]
        names = [f"{quantity}/{piece}.{suffix}" for quantity in self.request.quantities]
        if self.request.format is ExportFormat.PNG16:
            names += [f"{quantity}/{piece}.json" for quantity in self.request.quantities]
        if self.request.with_images:
            names.append(f"{IMAGES}/{piece}.png")
        return names

    def written(self, root: Objects) -> set[str]:
        """List every object of every piece that is there."""
        folders = (SHARDS, IMAGES, *self.request.quantities)
        return {name for folder in folders for name in root.list(folder, "")}


def pieces_of(rows: pa.Table, layout: Layout) -> list[str]:
    """Name the piece of every row."""
    named = zip(rows["id"].to_pylist(), rows["shard"].to_pylist(), strict=True)
    return [layout.piece_of(image_id, shard) for image_id, shard in named]


def places(rows: pa.Table, layout: Layout) -> dict[str, list[tuple[str, str, int]]]:
    """Return of every piece its images and where their pixels lie in the store."""
    found: dict[str, list[tuple[str, str, int]]] = {}
    columns = (rows[name].to_pylist() for name in ("id", "array_group", "array_index"))
    for piece, *place in zip(pieces_of(rows, layout), *columns, strict=True):
        found.setdefault(piece, []).append((place[0], place[1], place[2]))
    return found


def outdated(before: Places, now: Places) -> list[str]:
    """Name the pieces of an earlier catalogue that hold something else now, or nothing."""
    return [piece for piece, held in before.items() if held != now.get(piece)]
