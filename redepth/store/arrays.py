"""Pixels of one shard: a Zarr v3 group, one array a quantity, one chunk an image.

Each array [n, H, W] lies in ONE object (Zarr's sharding), H and W being the largest of its images;
smaller ones are padded with NaN at the bottom and at the right. Storing an image alone would
rewrite the whole object, so an array is encoded in memory and put as a whole. `chunks` packs the
images into it and reads single ones out of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.storage import MemoryStore

from redepth.config import Storage
from redepth.errors import ConfigError, IntegrityError
from redepth.filesystems import storage_options
from redepth.storage_faults import storage_errors
from redepth.store import chunks, layout
from redepth.store.objects import Objects
from redepth.types import FloatMap, LabelArrays

Maps = dict[str, npt.NDArray[np.floating[Any]]]

METADATA = "zarr.json"
# Spread and confidence are estimates: the eleven bits of a float16 are more than they are worth.
_ALWAYS_HALF = ("spread", "confidence")


def narrowed(image_id: str, arrays: LabelArrays, storage: Storage) -> Maps:
    """Return copies of an image's maps by quantity, in the dtypes they are stored in.

    Raises:
        ConfigError: a finite value is too large for float16.
    """
    return {
        quantity: _cast(image_id, quantity, getattr(arrays, f"{quantity}_hw"), storage)
        for quantity in layout.QUANTITIES
    }


def encode_group(
    maps: Sequence[Maps], attributes: Mapping[str, Any], compression_level: int
) -> Iterator[tuple[str, bytes]]:
    """Yield a group's objects by name, a quantity at a time, the group's own metadata last.

    The same maps give the same bytes.
    """
    for quantity in layout.QUANTITIES:
        of_images = [image[quantity] for image in maps]
        size_hw = _size_hw(of_images)
        metadata = _array_metadata((len(maps), *size_hw), of_images[0].dtype, compression_level)
        content = chunks.encode_chunks(of_images, size_hw, compression_level)
        yield f"{quantity}/{chunks.OBJECT_NAME}", content
        yield f"{quantity}/{METADATA}", metadata
    objects: dict[str, Any] = {}
    zarr.create_group(MemoryStore(objects), attributes=dict(attributes))
    yield METADATA, objects[METADATA].to_bytes()


def open_group(objects: Objects, group: str) -> zarr.Group:
    """Open a committed group for reading.

    Raises:
        IntegrityError: a label part names it, but it is not there.
    """
    folder = layout.group_folder(group)
    url = objects.full_url(folder)
    try:
        with storage_errors(objects.url):
            return zarr.open_group(
                url,
                mode="r",
                zarr_format=3,
                use_consolidated=False,
                storage_options=storage_options(url) or None,
            )
    except FileNotFoundError as error:
        raise IntegrityError(
            f"{objects.url}: labels/ names the array group {folder}, which is not there"
        ) from error


def stored_dtype(quantity: str, of_depth: str) -> np.dtype[Any]:
    """Return the dtype a quantity is stored in, coarse and refined maps in `of_depth`."""
    return np.dtype(np.float16 if quantity in _ALWAYS_HALF else of_depth)


def _cast(
    image_id: str, quantity: str, map_hw: FloatMap, storage: Storage
) -> npt.NDArray[np.floating[Any]]:
    try:
        with np.errstate(over="raise"):
            return map_hw.astype(stored_dtype(quantity, storage.dtype), copy=True)
    except FloatingPointError:
        raise ConfigError(
            f"{image_id}: {quantity} reaches {np.nanmax(np.abs(map_hw)):.4g}, which float16 cannot "
            "hold (65504); set labels.storage.dtype to float32, or check the coarse model's unit"
        ) from None


def _size_hw(maps: Sequence[npt.NDArray[np.floating[Any]]]) -> tuple[int, int]:
    """Return the height and the width that hold each of the maps."""
    return max(map_hw.shape[0] for map_hw in maps), max(map_hw.shape[1] for map_hw in maps)


def _array_metadata(shape: tuple[int, int, int], dtype: np.dtype[Any], level: int) -> bytes:
    objects: dict[str, Any] = {}
    zarr.create_array(
        MemoryStore(objects),
        shape=shape,
        dtype=dtype,
        chunks=(1, *shape[1:]),
        shards=shape,
        compressors=chunks.codec(level),
        fill_value=float("nan"),
        dimension_names=("image", "y", "x"),
    )
    content: bytes = objects[METADATA].to_bytes()
    return content
