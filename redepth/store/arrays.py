"""Pixels of one shard: a Zarr v3 group, one array a quantity, one chunk an image.

Each array [n, H, W], or [n, H, W, C] of a quantity with C > 1 channels, lies in ONE object (Zarr's
sharding), H and W being the largest of its images; smaller ones are padded at the bottom and at the
right, with NaN, or 0 where the array holds codes. Storing an image alone would rewrite the whole
object, so an array is encoded in memory and put as a whole. `chunks` packs the images into it and
reads single ones out of it. The group states its quantities, and readers go by that alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import zarr
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from zarr.storage import MemoryStore

from redepth.config import Storage
from redepth.errors import ConfigError, IntegrityError
from redepth.quantities import AnyMap, Dtype, Quantity
from redepth.store import chunks, layout
from redepth.store.objects import Objects
from redepth.types import LabelArrays

Maps = dict[str, AnyMap]
_Parsed = TypeVar("_Parsed")

METADATA = "zarr.json"
# An output may come from a stranger: what it may have is said before anything is read.
MAX_METADATA_BYTES = 64 << 20
MAX_IMAGES = 1 << 16
_MAX_QUANTITIES = 64
_MAX_MAP_BYTES = 1 << 30

_Shape = Annotated[tuple[int, ...], Field(min_length=3, max_length=4)]


class GroupFacts(BaseModel):
    """What a group says of itself; see `redepth.store.shards`."""

    model_config = ConfigDict(frozen=True, strict=True)

    format_version: int
    kind: str
    shard: str
    images: Annotated[list[str], Field(max_length=MAX_IMAGES)]
    sizes: Annotated[list[tuple[int, int]], Field(max_length=MAX_IMAGES)]
    quantities: Annotated[list[Quantity], Field(max_length=_MAX_QUANTITIES)]

    @model_validator(mode="after")
    def _stated_once(self) -> GroupFacts:
        if len(self.by_name) < len(self.quantities):
            raise ValueError("a quantity is stated twice")
        return self

    @cached_property
    def by_name(self) -> dict[str, Quantity]:
        """The quantities of the group's arrays by name, in their order."""
        return {quantity.name: quantity for quantity in self.quantities}


class _GroupMetadata(BaseModel):
    zarr_format: Literal[3]
    node_type: Literal["group"]
    attributes: GroupFacts


class _Named(BaseModel):
    name: str


class _Chunking(BaseModel):
    chunk_shape: _Shape


class _ChunkGrid(BaseModel):
    name: Literal["regular"]
    configuration: _Chunking


class _ShardingSettings(_Chunking):
    codecs: list[_Named]
    index_codecs: list[_Named]
    index_location: Literal["end"]


class _Sharding(BaseModel):
    name: Literal["sharding_indexed"]
    configuration: _ShardingSettings


class _ArrayMetadata(BaseModel):
    zarr_format: Literal[3]
    node_type: Literal["array"]
    shape: _Shape
    data_type: Dtype
    chunk_grid: _ChunkGrid
    codecs: tuple[_Sharding]

    @property
    def problem(self) -> str | None:
        """Say which part is not as `encode_group` writes it, None if all are."""
        sharding = self.codecs[0].configuration
        names = [codec.name for codec in (*sharding.codecs, *sharding.index_codecs)]
        if names != ["bytes", "blosc", "bytes", "crc32c"]:
            return f"codecs {[name[:40] for name in names[:6]]}"
        if self.chunk_grid.configuration.chunk_shape != self.shape:
            return f"chunks of {self.chunk_grid.configuration.chunk_shape}"
        if sharding.chunk_shape != (1, *self.shape[1:]):
            return f"images of {sharding.chunk_shape}"
        return None


_GROUP = TypeAdapter(_GroupMetadata)
_ARRAY = TypeAdapter(_ArrayMetadata)


@dataclass(frozen=True, slots=True)
class ArrayFacts:
    """Shape (n, H, W) or (n, H, W, C) and dtype of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def problem(self) -> str | None:
        """Say why there can be no such array, None if there can be."""
        num_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        if min(self.shape) < 1 or self.shape[0] > MAX_IMAGES or num_bytes > _MAX_MAP_BYTES:
            return (
                f"shape {self.shape}; expected at most {MAX_IMAGES} images of at most "
                f"{_MAX_MAP_BYTES} bytes"
            )
        return None


def cast_for_storage(image_id: str, arrays: LabelArrays, storage: Storage) -> Maps:
    """Return copies of an image's maps by quantity, in the dtypes they are stored in.

    Raises:
        ConfigError: a finite value is too large for float16.
    """
    return {
        quantity.name: _cast(image_id, as_stored(quantity, storage.dtype), arrays[quantity.name])
        for quantity in arrays.quantities
    }


def as_stored(quantity: Quantity, of_depth: Dtype) -> Quantity:
    """Return a quantity as a group states it: maps of depth have the dtype `of_depth`."""
    return replace(quantity, dtype=of_depth) if quantity.is_depth else quantity


def encode_group(
    maps: Sequence[Maps],
    quantities: Sequence[Quantity],
    attributes: Mapping[str, Any],
    compression_level: int,
) -> Iterator[tuple[str, bytes]]:
    """Yield a group's objects by name, a quantity at a time, the group's own metadata last.

    The same maps give the same bytes.

    Args:
        quantities: of each of the images, as `attributes` state them.
    """
    for quantity in quantities:
        of_images = [image[quantity.name] for image in maps]
        shape = quantity.shape(_size_hw(of_images))
        content = chunks.encode_chunks(of_images, shape, compression_level, quantity.padding)
        yield f"{quantity.name}/{chunks.object_name(len(shape) + 1)}", content
        metadata = _array_metadata((len(maps), *shape), quantity, compression_level)
        yield f"{quantity.name}/{METADATA}", metadata
    objects: dict[str, Any] = {}
    zarr.create_group(MemoryStore(objects), attributes=dict(attributes))
    yield METADATA, objects[METADATA].to_bytes()


def read_group(objects: Objects, group: str) -> GroupFacts:
    """Read what a committed group says of itself.

    Raises:
        IntegrityError: a fragment names it, but it is not there or no redepth wrote it.
    """
    name = f"{layout.group_folder(group)}/{METADATA}"
    try:
        content = objects.read(name, MAX_METADATA_BYTES)
    except FileNotFoundError as error:
        raise IntegrityError(
            f"{objects.url}: labels/ names the array group {group}, which is not there"
        ) from error
    facts: GroupFacts = _parsed(objects, name, content, _GROUP).attributes
    return facts


def read_array(objects: Objects, group: str, quantity: str) -> ArrayFacts:
    """Read shape and dtype of one array of a group.

    The metadata must be those that `encode_group` writes, but for the level of compression: no
    other codec is ever asked, and nothing but the array's one object is opened.

    Raises:
        IntegrityError: it is not there, or no redepth wrote it.
    """
    name = f"{layout.group_folder(group)}/{quantity}/{METADATA}"
    try:
        content = objects.read(name, MAX_METADATA_BYTES)
    except FileNotFoundError as error:
        raise IntegrityError(f"{objects.url}: {name} is not there") from error
    said = _parsed(objects, name, content, _ARRAY)
    facts = ArrayFacts(said.shape, np.dtype(said.data_type))
    problem = said.problem or facts.problem
    if problem is not None:
        raise _not_ours(objects, name, problem)
    return facts


def open_array(objects: Objects, group: str, quantity: Quantity) -> chunks.Chunks:
    """Open one array of a group for reading, as the group states its quantity.

    Raises:
        IntegrityError: as `read_array`, or the array is not what the group states.
    """
    facts = read_array(objects, group, quantity.name)
    folder = f"{layout.group_folder(group)}/{quantity.name}"
    expected = quantity.shape((facts.shape[1], facts.shape[2]))
    if (facts.dtype, facts.shape[1:]) != (np.dtype(quantity.dtype), expected):
        problem = f"{facts.dtype} {facts.shape}, and its group states {quantity.dtype} {expected}"
        raise _not_ours(objects, folder, problem)
    return chunks.open_chunks(objects, folder, facts.shape, facts.dtype)


def _parsed(objects: Objects, name: str, content: bytes, kind: TypeAdapter[_Parsed]) -> _Parsed:
    try:
        return kind.validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step)[:40] for step in first["loc"])
        raise _not_ours(objects, name, f"{place}: {first['msg'][:200]}") from error


def _not_ours(objects: Objects, name: str, problem: str) -> IntegrityError:
    return IntegrityError(
        f"{objects.url}: {name} is damaged, or was not written by redepth ({problem}); remove the "
        "fragment of its shard and run again"
    )


def _cast(image_id: str, quantity: Quantity, map_hw: AnyMap) -> AnyMap:
    try:
        with np.errstate(over="raise"):
            return map_hw.astype(quantity.dtype, copy=True)
    except FloatingPointError:
        raise ConfigError(
            f"{image_id}: {quantity.name} reaches {np.nanmax(np.abs(map_hw)):.4g}, which float16 "
            "cannot hold (65504); set labels.storage.dtype to float32, or check the coarse model's "
            "unit"
        ) from None


def _size_hw(maps: Sequence[AnyMap]) -> tuple[int, int]:
    """Return the height and the width that hold each of the maps."""
    return max(map_hw.shape[0] for map_hw in maps), max(map_hw.shape[1] for map_hw in maps)


def _array_metadata(shape: tuple[int, ...], quantity: Quantity, level: int) -> bytes:
    objects: dict[str, Any] = {}
    zarr.create_array(
        MemoryStore(objects),
        shape=shape,
        dtype=np.dtype(quantity.dtype),
        chunks=(1, *shape[1:]),
        shards=shape,
        compressors=chunks.codec(level),
        fill_value=quantity.padding,
        dimension_names=("image", "y", "x", "channel")[: len(shape)],
    )
    content: bytes = objects[METADATA].to_bytes()
    return content
