"""Label parts: the rows of one shard as the bytes of one Parquet object, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from redepth.errors import IntegrityError
from redepth.store.layout import FORMAT_VERSION
from redepth.types import DepthKind, FocalSource, LabelRow, Outcome

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("size_bytes", pa.int64()),
        pa.field("version", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("file_format", pa.string()),
        pa.field("decode_notes", pa.string()),
        pa.field("image_height_px", pa.int32()),
        pa.field("image_width_px", pa.int32()),
        pa.field("height_px", pa.int32()),
        pa.field("width_px", pa.int32()),
        pa.field("kind", pa.string()),
        pa.field("caption", pa.string()),
        pa.field("num_members", pa.int32()),
        pa.field("members_stopped", pa.string()),
        pa.field("drift", pa.float64()),
        pa.field("rank_correlation", pa.float64()),
        pa.field("metric_scale", pa.float64()),
        pa.field("metric_shift", pa.float64()),
        pa.field("agreeing_share", pa.float64()),
        pa.field("mean_confidence", pa.float64()),
        pa.field("mean_spread", pa.float64()),
        pa.field("focal_px", pa.float64()),
        pa.field("focal_source", pa.string()),
        pa.field("far_share", pa.float64()),
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("seconds", pa.float64()),
        pa.field("device", pa.string()),
        pa.field("untrained", pa.bool_(), nullable=False),
        pa.field("shard", pa.string()),
        pa.field("array_group", pa.string()),
        pa.field("array_index", pa.int32()),
    ]
)
_VERSION_KEY = b"redepth.format_version"
_GROUPS_KEY = b"redepth.array_groups"


@dataclass(frozen=True, slots=True)
class Part:
    """A committed label part, or the columns of it that were asked for.

    Attributes:
        shard: whose rows these are.
        table: one row an image.
        array_groups: the tries that are committed here in order, `<shard>` first, then
            `<shard>.1`, ...; one without a label stored no pixels but is named all the same.
    """

    shard: str
    table: pa.Table
    array_groups: tuple[str, ...]

    def rows(self) -> list[LabelRow]:
        return [row_from_columns(values) for values in self.table.to_pylist()]


def encode_part(rows: Sequence[LabelRow], array_groups: Sequence[str]) -> bytes:
    """Return the bytes of a label part."""
    metadata = {
        _VERSION_KEY: str(FORMAT_VERSION).encode(),
        _GROUPS_KEY: json.dumps(list(array_groups)).encode(),
    }
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
    return bytes(sink.getvalue())


def decode_part(shard: str, content: bytes, columns: Sequence[str] | None = None) -> Part:
    """Read a label part, or some of its columns.

    Raises:
        IntegrityError: not a label part, or of a format version this software does not read.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            metadata = file.schema_arrow.metadata or {}
            wanted = list(columns or SCHEMA.names)
            table = _completed(file.read(columns=wanted, use_threads=False), wanted)
    except pa.ArrowException as error:
        raise IntegrityError(
            f"label part {shard} cannot be read ({error}); remove it to have its images done again"
        ) from error
    version = metadata.get(_VERSION_KEY, b"none").decode()
    if version != str(FORMAT_VERSION):
        raise IntegrityError(
            f"label part {shard} has format version {version}, expected {FORMAT_VERSION}: "
            "it was not written by this software"
        )
    return Part(
        shard, table.replace_schema_metadata(None), tuple(json.loads(metadata[_GROUPS_KEY]))
    )


def _completed(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Add columns that a part of an older redepth does not have yet: null in every row."""
    for name in columns:
        field = SCHEMA.field(name)
        if name not in table.column_names and field.nullable:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(list(columns))


def row_from_columns(values: dict[str, Any]) -> LabelRow:
    """Make a row from a line of the table, the enumerations being names there."""
    kind, focal_source = values["kind"], values["focal_source"]
    typed = {
        "outcome": Outcome(values["outcome"]),
        "kind": None if kind is None else DepthKind(kind),
        "focal_source": None if focal_source is None else FocalSource(focal_source),
    }
    return LabelRow(**{**values, **typed})
