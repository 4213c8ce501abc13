"""Maps out of one object: what Zarr reads, and no map where the object is not whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from redepth.errors import IntegrityError
from redepth.quantities import QUANTITIES, AnyMap, Dtype, Quantity
from redepth.store.arrays import as_stored, encode_group
from redepth.store.chunks import Chunks, codec, encode_chunks, open_chunks
from redepth.store.objects import Objects, open_objects

SIZES = ((5, 9), (8, 4), (8, 9), (1, 1), (6, 6))
NAME = "group/refined/c/0/0/0"


NORMALS = Quantity(
    "normals", "of the surface", "none", dtype="float16", channels=3, range=(-1.0, 1.0)
)
STORED = {one.name: as_stored(one, "float32") for one in (*QUANTITIES.values(), NORMALS)}


def drawn(rng: np.random.Generator, quantity: Quantity, size_hw: tuple[int, int]) -> AnyMap:
    return (4 * rng.random(quantity.shape(size_hw))).astype(quantity.dtype)


def write_group(url: str) -> Objects:
    rng = np.random.default_rng(0)
    maps = [{name: drawn(rng, one, size) for name, one in STORED.items()} for size in SIZES]
    objects = open_objects(url)
    for name, content in encode_group(maps, list(STORED.values()), {}, compression_level=5):
        objects.put(f"group/{name}", content)
    return objects


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    return write_group(str(tmp_path_factory.mktemp("objects")))


def opened(objects: Objects, quantity: str) -> zarr.Array:
    return zarr.open_group(objects.full_url("group"), mode="r")[quantity]


def opened_chunks(objects: Objects) -> Chunks:
    return open_chunks(objects, "group/refined", (5, 8, 9), np.dtype("f4"))


@given(st.sampled_from(list(STORED)), st.integers(0, 4), st.integers(1, 5))
def test_a_run_of_maps_is_what_zarr_reads(
    objects: Objects, quantity: str, first: int, num: int
) -> None:
    array = opened(objects, quantity)
    chunks = open_chunks(objects, f"group/{quantity}", array.shape, array.dtype)
    sizes = SIZES[first : first + num]
    for index, map_hw in enumerate(chunks.read(first, sizes), first):
        height, width = SIZES[index]
        assert map_hw.dtype == STORED[quantity].dtype
        assert map_hw.shape == STORED[quantity].shape(SIZES[index])
        np.testing.assert_array_equal(map_hw, array[index, :height, :width])


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [1, 2, 9])
def test_what_is_written_is_what_zarr_writes(dtype: Dtype, channels: int, level: int) -> None:
    rng = np.random.default_rng(0)
    one = Quantity("one", "of whatever", dtype=dtype, channels=channels)
    shape = one.shape((8, 9))
    maps = [drawn(rng, one, size) for size in (*SIZES, (0, 0))]
    block = np.full((len(maps), *shape), one.padding, dtype)
    for values, padded in zip(maps, block, strict=True):
        padded[: values.shape[0], : values.shape[1]] = values
    objects: dict[str, Any] = {}
    zarr.create_array(
        zarr.storage.MemoryStore(objects),
        shape=block.shape,
        dtype=block.dtype,
        chunks=(1, *shape),
        shards=block.shape,
        compressors=codec(level),
        fill_value=one.padding,
        config={"write_empty_chunks": True},
    )[:] = block
    zarrs = objects["/".join("c" + "0" * block.ndim)].to_bytes()
    assert encode_chunks(maps, shape, level, one.padding) == zarrs


def test_neighbours_are_one_request(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = opened_chunks(objects)
    asked: list[str] = []
    real = Objects.read_range

    def read_range(self: Objects, name: str, start: int, stop: int | None) -> bytes:
        asked.append(name)
        return real(self, name, start, stop)

    monkeypatch.setattr(Objects, "read_range", read_range)
    chunks.read(1, SIZES[1:4])
    assert asked == [NAME]


def test_more_than_there_is_is_an_error(objects: Objects) -> None:
    chunks = opened_chunks(objects)
    with pytest.raises(IntegrityError, match="damaged"):
        chunks.read(4, [(1, 1), (1, 1)])


@pytest.mark.parametrize("place", ["a chunk's length", "the index", "the end", "all"])
def test_damage_is_found(tmp_path: Path, place: str) -> None:
    objects = write_group(str(tmp_path))
    content = bytearray(objects.read(NAME))
    match place:
        case "a chunk's length":
            content[12] ^= 1
        case "the index":
            content[-30] ^= 1
        case "the end":
            del content[-7:]
        case _:
            content.clear()
    objects.put(NAME, bytes(content))
    with pytest.raises(IntegrityError, match=f"{NAME} is damaged; remove the fragment"):
        opened_chunks(objects).read(0, SIZES)


def test_an_object_that_shrank_since_its_index_was_read_is_damaged(tmp_path: Path) -> None:
    objects = write_group(str(tmp_path))
    chunks = opened_chunks(objects)
    objects.put(NAME, objects.read(NAME)[:40])
    with pytest.raises(IntegrityError, match="damaged"):
        chunks.read(1, SIZES[1:])
