"""Points of a PLY file, such as a LiDAR's: x, y, z of each vertex, and its colour if it has one.

ASCII, and binary of both byte orders. A header of at most 64 KiB is read, a file of at most 2 GiB,
and a count is held to the bytes that are there before memory is taken for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from redepth.errors import ConfigError
from redepth.geometry.camera import Doubles
from redepth.images.data_files import read_file

MAX_FILE_BYTES = 2**31
MAX_HEADER_BYTES = 2**16
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
_END = b"\nend_header"
_PLACE, _COLOUR = ("x", "y", "z"), ("red", "green", "blue")


@dataclass(frozen=True, slots=True, eq=False)
class PlyPoints:
    """The vertices of a PLY file.

    Attributes:
        xyz_n3: float64 [N, 3].
        rgb_n3: uint8 [N, 3], or None.
    """

    xyz_n3: Doubles
    rgb_n3: npt.NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class _Header:
    layout: str
    num_vertices: int
    fields: tuple[tuple[str, str], ...]


def read_ply(path: Path) -> PlyPoints:
    """Read the vertices of a PLY file, which are its first element.

    Raises:
        ConfigError: it is no PLY, damaged, too large, or its vertices have no x, y and z.
    """
    content = read_file(path, MAX_FILE_BYTES)
    try:
        return points_of(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except (ValueError, IndexError, OverflowError) as error:
        raise ConfigError(f"{path} is damaged, or no PLY of points: {error}") from error


def points_of(content: bytes) -> PlyPoints:
    """Read the vertices out of the bytes of a PLY file. Raises ConfigError and ValueError."""
    end = content.find(_END, 0, MAX_HEADER_BYTES)
    if not content.startswith(b"ply") or end < 0:
        raise ConfigError("it does not begin with the header of a PLY file")
    header = _header(content[:end].decode("ascii", "replace"))
    start = content.index(b"\n", end + 1) + 1
    table = (
        _ascii(content, start, header)
        if header.layout == "ascii"
        else _binary(content, start, header)
    )
    xyz_n3 = np.stack([table[name] for name in _PLACE], axis=1).astype(np.float64)
    if not all(name in table for name in _COLOUR):
        return PlyPoints(xyz_n3, None)
    rgb_n3 = np.stack([table[name] for name in _COLOUR], axis=1)
    return PlyPoints(xyz_n3, rgb_n3.astype(np.uint8))


def _header(text: str) -> _Header:
    lines = [words for line in text.splitlines() if (words := line.split())]
    layout = next((words[1] for words in lines if words[0] == "format"), "none")
    elements = [i for i, words in enumerate(lines) if words[0] == "element"]
    if not elements or lines[elements[0]][1] != "vertex":
        raise ConfigError("its first element is no vertex")
    first, *others = elements
    properties = [w for w in lines[first : min(others, default=len(lines))] if w[0] == "property"]
    if any(words[1] not in _TYPES for words in properties):
        raise ConfigError("a property of its vertices is a list, or of an unknown type")
    fields = tuple((words[2], _TYPES[words[1]]) for words in properties)
    if not {*_PLACE} <= {name for name, _ in fields}:
        raise ConfigError("its vertices have no x, y and z")
    return _Header(layout, int(lines[first][2]), fields)


def _binary(content: bytes, start: int, header: _Header) -> dict[str, npt.NDArray[Any]]:
    if header.layout not in _ORDERS:
        raise ConfigError(f"its format is {header.layout[:80]!r}, expected ascii or binary")
    order = _ORDERS[header.layout]
    dtype = np.dtype([(name, f"{order}{type_}") for name, type_ in header.fields])
    _require_room(header.num_vertices, dtype.itemsize, len(content) - start)
    rows = np.frombuffer(content, dtype, header.num_vertices, start)
    return {name: rows[name] for name, _ in header.fields}


def _ascii(content: bytes, start: int, header: _Header) -> dict[str, npt.NDArray[Any]]:
    _require_room(header.num_vertices, 2 * len(header.fields), len(content) - start)
    words = content[start:].split(maxsplit=header.num_vertices * len(header.fields))
    values = np.array(words[: header.num_vertices * len(header.fields)], dtype=np.float64)
    columns = values.reshape(header.num_vertices, len(header.fields)).T
    return {name: column for (name, _), column in zip(header.fields, columns, strict=True)}


def _require_room(number: int, least_bytes_each: int, left: int) -> None:
    if number < 0 or number * least_bytes_each > left + 1:
        raise ConfigError(f"it promises {number:,} vertices, and has {left:,} bytes of them")
