"""What a Parquet file's footer says of its columns' sizes, read without pyarrow.

pyarrow's own access to a column's metadata ends the process where the footer is damaged: Arrow
raises a C++ exception (of statistics that contradict each other) where Python expects none. Opening
and reading raise as they should.

The footer is a struct in Thrift's compact protocol; see parquet.thrift, and Thrift's own
thrift-compact-protocol.md.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redepth.errors import ConfigError

_END_BYTES = 8  # the footer's length, and PAR1
# Fields of parquet.thrift.
_ROW_GROUPS, _COLUMNS, _META_DATA = 4, 1, 3
_PATH, _NUM_VALUES, _UNCOMPRESSED_BYTES = 3, 5, 6
_STOP, _LONG_LIST = 0, 15


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A leaf of one row group's columns.

    Attributes:
        path: names from the column down, with dots between.
        num_values: values of it, nulls among them.
        num_bytes: unpacked.
    """

    path: str
    num_values: int
    num_bytes: int


def row_groups(where: str, file: Any) -> list[list[StoredColumn]]:
    """Read what the footer of an open file says of each row group.

    Raises:
        ConfigError: it is damaged.
    """
    size = file.seek(0, io.SEEK_END) or file.tell()
    file.seek(max(0, size - _END_BYTES))
    end = bytes(file.read(_END_BYTES))
    length = int.from_bytes(end[:4], "little")
    file.seek(max(0, size - _END_BYTES - length))
    try:
        groups = _Reader(bytes(file.read(length))).struct()[_ROW_GROUPS]
        return [[_column(column[_META_DATA]) for column in group[_COLUMNS]] for group in groups]
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
        struct.error,
    ) as error:
        raise ConfigError(f"{where} is not a readable Parquet file: damaged footer") from error


def _column(fields: dict[int, Any]) -> StoredColumn:
    path = ".".join(name.decode() for name in fields[_PATH])
    return StoredColumn(path, int(fields[_NUM_VALUES]), int(fields[_UNCOMPRESSED_BYTES]))


class _Reader:
    """Values of Thrift's compact protocol, one after another; raises IndexError at the end."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._by_type: dict[int, Callable[[], Any]] = {
            1: lambda: True, 2: lambda: False, 3: self._byte, 4: self._integer, 5: self._integer,
            6: self._integer, 7: self._double, 8: self._binary, 9: self._list, 10: self._list,
            11: self._map, 12: self.struct,
        }  # fmt: skip

    def struct(self) -> dict[int, Any]:
        """Read a struct: its values by the numbers of their fields."""
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != _STOP:
            number = number + (head >> 4) if head >> 4 else self._integer()
            fields[number] = self._by_type[head & 15]()
        return fields

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
        return value | byte << shift

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _double(self) -> float:
        self._at += 8
        return float(struct.unpack("<d", self._content[self._at - 8 : self._at])[0])

    def _binary(self) -> bytes:
        length = self._varint()
        start, self._at = self._at, self._at + length
        if self._at > len(self._content):
            raise IndexError
        return self._content[start : self._at]

    def _list(self) -> list[Any]:
        head = self._byte()
        length = head >> 4 if head >> 4 != _LONG_LIST else self._varint()
        # Of truths each is a byte here; in a struct the type itself is the value.
        read = self._byte if head & 15 in (1, 2) else self._by_type[head & 15]
        return [read() for _ in range(length)]

    def _map(self) -> dict[Any, Any]:
        length = self._varint()
        kinds = self._byte() if length else 0
        read = [self._byte if k in (1, 2) else self._by_type[k] for k in (kinds >> 4, kinds & 15)
                if length]  # fmt: skip
        return {read[0](): read[1]() for _ in range(length)}
