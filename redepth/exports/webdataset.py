"""webdataset: a tar a shard; of each image KEY.json, KEY.QUANTITY.npy and perhaps KEY.image.png.

NPY is as of the format npy. The id is in the JSON; KEY is the id as a file name.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from redepth.exports import npy
from redepth.exports.items import Item, file_name
from redepth.exports.part import Contents, ExportSettings, ShardFormat
from redepth.quantities import AnyMap


def write_shard(
    path: Path, items: Iterable[Item], contents: Contents, settings: ExportSettings
) -> None:
    """Write a tar; the same items give the same bytes."""
    with tarfile.open(path, "w") as tar:
        for item in items:
            for suffix, content in _members(item):
                member = tarfile.TarInfo(f"{file_name(item.row.id)}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def read_map(file: BinaryIO, image_id: str, quantity: str) -> AnyMap:
    """Read one map of a shard back, bit for bit. Raises KeyError if it is not in there."""
    with tarfile.open(fileobj=file) as tar:
        member = tar.extractfile(f"{file_name(image_id)}.{quantity}.npy")
        assert member is not None, "an export holds plain files"
        return npy.decode(member.read())


def _members(item: Item) -> Iterator[tuple[str, bytes]]:
    yield "json", json.dumps(item.facts()).encode()
    for quantity, values in item.maps.items():
        yield f"{quantity.name}.npy", npy.encode(values)
    if item.photograph is not None:
        yield "image.png", item.photograph


FORMAT = ShardFormat(
    name="webdataset",
    files="`shards/SHARD.tar` of `KEY.json`, `KEY.QUANTITY.npy`",
    suffix="tar",
    write_shard=write_shard,
    read_map=read_map,
)
