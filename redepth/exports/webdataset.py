"""webdataset: a tar a shard; of each image KEY.json, KEY.QUANTITY.npy and perhaps KEY.image.png.

NPY is as of the format npy. The id is in the JSON; KEY is the image's `name` in the catalogue.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from redepth.exports import npy
from redepth.exports.items import Item, is_fact
from redepth.exports.part import Contents, ExportSettings, Feature, Place, ShardFormat
from redepth.quantities import AnyMap
from redepth.store.rows import SCHEMA


def write_shard(
    path: Path, items: Iterable[Item], contents: Contents, settings: ExportSettings
) -> None:
    """Write a tar; the same items give the same bytes."""
    with tarfile.open(path, "w") as tar:
        for item in items:
            for suffix, content in _members(item):
                member = tarfile.TarInfo(f"{item.name}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def read_map(file: BinaryIO, place: Place, quantity: str) -> AnyMap:
    """Read one map of a shard back, bit for bit. Raises KeyError if it is not in there."""
    with tarfile.open(fileobj=file) as tar:
        member = tar.extractfile(f"{place.name}.{quantity}.npy")
        assert member is not None, "an export holds plain files"
        return npy.decode(member.read())


def _members(item: Item) -> Iterator[tuple[str, bytes]]:
    yield "json", json.dumps(item.facts()).encode()
    for quantity, values in item.maps.items():
        yield f"{quantity.name}.npy", npy.encode(values)
    if item.photograph is not None:
        yield "image.png", item.photograph


def features(contents: Contents) -> list[Feature]:
    """Say what is in the tars: `datasets` would guess it from the first five images alone."""
    row = [{"name": one.name, "dtype": _dtype(one.type)} for one in SCHEMA if is_fact(one.name)]
    said: list[Feature] = [{"name": "json", "struct": row}]
    for quantity in contents.quantities:
        numbers = {"list": {"list": quantity.in_memory.name}}
        nested = numbers if quantity.channels == 1 else {"list": numbers}
        said.append({"name": f"{quantity.name}.npy", **nested})
    if contents.with_images:
        said.append({"name": "image.png", "dtype": "image"})
    return [*said, *({"name": name, "dtype": "string"} for name in ("__key__", "__url__"))]


def _dtype(type_: pa.DataType) -> str:
    return {"double": "float64", "float": "float32"}.get(str(type_), str(type_))


FORMAT = ShardFormat(
    name="webdataset",
    files="`data/SHARD.tar` of `KEY.json`, `KEY.QUANTITY.npy`",
    suffix="tar",
    loaded="data/*.tar",
    features=features,
    write_shard=write_shard,
    read_map=read_map,
)
