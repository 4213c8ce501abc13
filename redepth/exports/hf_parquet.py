"""hf-parquet: a Parquet file a shard, one row an image, as Hugging Face `datasets` reads it.

A map is a list of lists of float32, [H][W], NaN where invalid; `image` is the library's own image
column. Everything else of the row is a column of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from redepth.exports.items import Item
from redepth.exports.part import Contents, ExportSettings, ShardFormat
from redepth.store.rows import SCHEMA
from redepth.types import FloatMap

_IMAGES_PER_ROW_GROUP = 16
_MAP = pa.list_(pa.list_(pa.float32()))
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_OF_STORE = ("shard", "array_group", "array_index")


def write_shard(
    path: Path, items: Iterable[Item], contents: Contents, settings: ExportSettings
) -> None:
    """Write a Parquet file, some images at a time."""
    schema = _schema(contents)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        remaining = iter(items)
        while group := list(islice(remaining, _IMAGES_PER_ROW_GROUP)):
            columns = [_column(field, group) for field in schema]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def read_map(file: BinaryIO, image_id: str, quantity: str) -> FloatMap:
    """Read one map of a shard back, bit for bit. Raises KeyError if it is not in there."""
    table = pq.read_table(file, columns=[quantity], filters=[("id", "=", image_id)])
    if not len(table):
        raise KeyError(image_id)
    return np.array(table[quantity][0].as_py(), dtype=np.float32)


def _schema(contents: Contents) -> pa.Schema:
    fields = [field for field in SCHEMA if field.name not in _OF_STORE]
    fields += [pa.field(quantity, _MAP) for quantity in contents.quantities]
    if contents.with_images:
        fields.append(pa.field("image", _IMAGE))
    features = {field.name: _feature(field.type) for field in fields}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(fields, metadata=metadata)


def _feature(type_: pa.DataType) -> dict[str, Any]:
    """Say a column's type as `datasets` writes it into a Parquet file's metadata."""
    if type_ == _IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(type_):
        return {"feature": _feature(type_.value_type), "_type": "List"}
    names = {"float": "float32", "double": "float64"}
    return {"dtype": names.get(str(type_), str(type_)), "_type": "Value"}


def _column(field: pa.Field, items: Sequence[Item]) -> pa.Array:
    if field.type == _IMAGE:
        images = [{"bytes": item.photograph, "path": f"{item.row.id}.png"} for item in items]
        return pa.array(images, _IMAGE)
    if field.type == _MAP:
        return pa.array([_nested(item.maps[field.name]) for item in items], _MAP)
    return pa.array([getattr(item.row, field.name) for item in items], field.type)


def _nested(map_hw: FloatMap) -> list[FloatMap]:
    return list(map_hw)


FORMAT = ShardFormat(
    name="hf-parquet",
    files="`shards/SHARD.parquet`, a row an image, a map as lists of float32",
    suffix="parquet",
    write_shard=write_shard,
    read_map=read_map,
)
