"""Maps into one array's object and out of it: neighbours are read with one request.

The object is Zarr's shard, and Zarr reads and writes it as well: the images' chunks in their order,
then the index, (offset, length) an image, then the index's CRC32C. But Zarr asks for the index at
every read and takes twice the CPU time to get a map out of its chunk, and half as much again to
put one in.

Source: Zarr v3, codec sharding_indexed 1.0.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import blosc
from numcodecs.checksum32 import CRC32C
from zarr.codecs import BloscCodec

from redepth.errors import IntegrityError
from redepth.quantities import AnyMap
from redepth.store.objects import Objects

_ENTRY_BYTES, _CHECKSUM_BYTES = 16, 4
# What a chunk that does not pack has more than its pixels: Blosc's header.
_OVERHEAD_BYTES = 16
# The size of a read of neighbours; more than a run of the largest photographs takes.
_MAX_READ_BYTES = 8 << 30
# Of Blosc's header: bytes unpacked, and, behind the block size, bytes packed.
_BLOSC_SIZES = struct.Struct("<4xI4xI")


def object_name(num_axes: int) -> str:
    """Name the object of an array: the only shard there is, along each axis."""
    return "/".join(["c", *["0"] * num_axes])


@dataclass(frozen=True, slots=True, eq=False)
class Chunks:
    """The chunks of one array [n, H, W] or [n, H, W, C], an image each.

    Attributes:
        name: of the object that holds them all.
        shape: (H, W) or (H, W, C) of every chunk, padding included.
        index_n2: offset and length in bytes, uint64 [n, 2].
    """

    objects: Objects
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    index_n2: npt.NDArray[np.uint64]

    def read(self, first: int, sizes: Sequence[tuple[int, int]]) -> list[AnyMap]:
        """Read consecutive images' maps without their padding; `sizes` are (H, W).

        Raises:
            IntegrityError: the object is gone, or does not hold what its index says.
        """
        places = [(int(at), int(length)) for at, length in self.index_n2[first:][: len(sizes)]]
        height_px, width_px = self.shape[:2]
        is_inside = all(0 < h <= height_px and 0 < w <= width_px for h, w in sizes)
        if first < 0 or len(places) < len(sizes) or not is_inside:
            raise _damaged(self.objects, self.name)
        if len(sizes) * math.prod(self.shape) * self.dtype.itemsize > _MAX_READ_BYTES:
            raise IntegrityError(
                f"{self.objects.url}: {len(sizes)} maps of {self.name} of {height_px} x {width_px} "
                f"px take more than {_MAX_READ_BYTES} bytes at once; read fewer together"
            )
        start, stop = places[0][0], sum(places[-1])
        content = memoryview(_read_range(self.objects, self.name, start, stop))
        block = np.empty((len(sizes), *self.shape), self.dtype)
        for (at, length), chunk in zip(places, block, strict=True):
            self._unpack(content[at - start :][:length], chunk)
        return [padded[:h, :w] for padded, (h, w) in zip(block, sizes, strict=True)]

    def _unpack(self, packed: memoryview, chunk: AnyMap) -> None:
        # Blosc believes its header and reads on, whatever there is: what it says is checked first.
        sizes = _BLOSC_SIZES.unpack_from(packed) if len(packed) >= _BLOSC_SIZES.size else ()
        if sizes != (chunk.nbytes, len(packed)):
            raise _damaged(self.objects, self.name)
        blosc.decompress(packed, chunk)


def encode_chunks(
    maps: Sequence[AnyMap], shape: tuple[int, ...], level: int, padding: float
) -> bytes:
    """Return the object that holds the maps, each padded to `shape`.

    The same maps give the same bytes, and those that Zarr would write with `codec(level)`.

    Args:
        maps: of one dtype, none larger than `shape`.
        level: Blosc's, of zstd: 1 to 9.
    """
    padded = np.empty(shape, maps[0].dtype)
    packed, places, at = [], [], 0
    for map_hw in maps:
        padded.fill(padding)
        padded[: map_hw.shape[0], : map_hw.shape[1]] = map_hw
        packed.append(blosc.compress(padded, b"zstd", level, blosc.SHUFFLE))
        places.append((at, len(packed[-1])))
        at += len(packed[-1])
    index = CRC32C(location="end").encode(np.array(places, "<u8"))
    return b"".join([*packed, bytes(index)])


def codec(level: int) -> BloscCodec:
    """Return what an array's metadata says of `encode_chunks`."""
    return BloscCodec(cname="zstd", clevel=level, shuffle="shuffle")


def open_chunks(
    objects: Objects, folder: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Chunks:
    """Read the index of the object below `folder` that holds an array.

    Raises:
        IntegrityError: the object is gone or damaged.
    """
    name = f"{folder}/{object_name(len(shape))}"
    num_images = shape[0]
    num_bytes = num_images * _ENTRY_BYTES + _CHECKSUM_BYTES
    tail = _read_range(objects, name, -num_bytes, None)
    try:
        index = np.frombuffer(CRC32C(location="end").decode(tail), "<u8")
    except (RuntimeError, ValueError) as error:
        raise _damaged(objects, name) from error
    if len(index) != 2 * num_images:
        raise _damaged(objects, name)
    index_n2 = index.reshape(num_images, 2)
    most = np.uint64(math.prod(shape[1:]) * dtype.itemsize + _OVERHEAD_BYTES)
    lengths_n = index_n2[:, 1]
    # One after the other from the beginning: a length that is not so would be read, and held.
    if (lengths_n > most).any() or (np.cumsum(lengths_n) - lengths_n != index_n2[:, 0]).any():
        raise _damaged(objects, name)
    return Chunks(objects, name, shape[1:], dtype, index_n2)


def _read_range(objects: Objects, name: str, start: int, stop: int | None) -> bytes:
    try:
        return objects.read_range(name, start, stop)
    except FileNotFoundError as error:
        raise IntegrityError(
            f"{objects.url}: {name} is gone; remove the fragment of its shard and run again"
        ) from error


def _damaged(objects: Objects, name: str) -> IntegrityError:
    return IntegrityError(
        f"{objects.url}: {name} is damaged; remove the fragment of its shard and run again"
    )
