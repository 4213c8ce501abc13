"""hf-parquet: a Parquet file a shard, one row an image, as Hugging Face `datasets` reads it.

A map is a list of lists of float32, [H][W], or [H][W][C] of one with channels, NaN where invalid;
codes are uint8. `image` is the library's own image column. Everything else of the row is a column
of its own.
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

from redepth.exports.items import Item, is_fact
from redepth.exports.part import Contents, ExportSettings, Place, ShardFormat
from redepth.quantities import AnyMap, Quantity
from redepth.store.rows import SCHEMA

_IMAGES_PER_ROW_GROUP = 16
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write_shard(
    path: Path, items: Iterable[Item], contents: Contents, settings: ExportSettings
) -> None:
    """Write a Parquet file, some images at a time."""
    schema = _schema(contents)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        remaining = iter(items)
        while group := list(islice(remaining, _IMAGES_PER_ROW_GROUP)):
            columns = [*_row_columns(schema, group), *_map_columns(contents, group)]
            if contents.with_images:
                columns.append(_images(group))
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def read_map(file: BinaryIO, place: Place, quantity: str) -> AnyMap:
    """Read one map of a shard back, bit for bit. Raises KeyError if it is not in there."""
    table = pq.read_table(file, columns=[quantity], filters=[("id", "=", place.image_id)])
    if not len(table):
        raise KeyError(place.image_id)
    return np.array(table[quantity][0].as_py(), dtype=_numbers(table[quantity].type))


def _schema(contents: Contents) -> pa.Schema:
    fields = [field for field in SCHEMA if is_fact(field.name)]
    fields += [pa.field(one.name, _map_type(one)) for one in contents.quantities]
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


def _map_type(quantity: Quantity) -> pa.DataType:
    """Return lists of lists of numbers, and of lists of these where there are channels."""
    numbers = pa.from_numpy_dtype(quantity.in_memory)
    return pa.list_(pa.list_(numbers if quantity.channels == 1 else pa.list_(numbers)))


def _numbers(nested: pa.DataType) -> np.dtype[Any]:
    """Return what the innermost lists hold."""
    while pa.types.is_list(nested):
        nested = nested.value_type
    numbers: np.dtype[Any] = np.dtype(nested.to_pandas_dtype())
    return numbers


def _row_columns(schema: pa.Schema, items: Sequence[Item]) -> list[pa.Array]:
    fields = [field for field in schema if field.name in SCHEMA.names]
    return [pa.array([getattr(item.row, one.name) for item in items], one.type) for one in fields]


def _map_columns(contents: Contents, items: Sequence[Item]) -> list[pa.Array]:
    return [
        pa.array([_nested(item.maps[one]) for item in items], _map_type(one))
        for one in contents.quantities
    ]


def _images(items: Sequence[Item]) -> pa.Array:
    images = [{"bytes": item.photograph, "path": f"{item.name}.png"} for item in items]
    return pa.array(images, _IMAGE)


def _nested(values: AnyMap) -> list[Any]:
    """Return a map as lists whose innermost are arrays, which Arrow takes as they are."""
    return list(values) if values.ndim == 2 else [list(row) for row in values]


FORMAT = ShardFormat(
    name="hf-parquet",
    files="`data/SHARD.parquet`, a row an image, a map as lists of float32",
    suffix="parquet",
    loaded="data/*.parquet",
    write_shard=write_shard,
    read_map=read_map,
)
