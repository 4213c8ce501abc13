"""Fragments: the rows of one shard as the bytes of one Parquet object, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, TypeAdapter

from redepth.errors import IntegrityError
from redepth.storage_errors import in_words
from redepth.store import layout
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
        pa.field("offset_bytes", pa.int64()),
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
        pa.field("num_steps", pa.int32()),
        pa.field("steps_ended", pa.string()),
        pa.field("predicted_gain", pa.float64()),
        pa.field("refined_by", pa.string()),
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
        pa.field("read_seconds", pa.float64()),
        pa.field("waited_seconds", pa.float64()),
        pa.field("model_seconds", pa.float64()),
        pa.field("device", pa.string()),
        pa.field("untrained", pa.bool_(), nullable=False),
        pa.field("shard", pa.string()),
        pa.field("array_group", pa.string()),
        pa.field("array_index", pa.int32()),
    ]
)
# A fragment comes from a shard of at most 4096 images; whoever wrote it, what it takes has an end.
MAX_BYTES = 256 << 20
MAX_ROWS = 1 << 16
_MAX_TRIES = 1 << 14
_MAX_SIDE_PX = 1 << 20
_VERSION_KEY = b"redepth.format_version"
_GROUPS_KEY = b"redepth.array_groups"
_GROUPS: TypeAdapter[tuple[str, ...]] = TypeAdapter(
    Annotated[tuple[str, ...], Field(max_length=_MAX_TRIES)]
)


@dataclass(frozen=True, slots=True)
class Fragment:
    """A committed fragment, or the columns of it that were asked for.

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


def encode_fragment(rows: Sequence[LabelRow], array_groups: Sequence[str]) -> bytes:
    """Return the bytes of a fragment."""
    metadata = {
        _VERSION_KEY: str(FORMAT_VERSION).encode(),
        _GROUPS_KEY: json.dumps(list(array_groups)).encode(),
    }
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
    return bytes(sink.getvalue())


def decode_fragment(shard: str, content: bytes, columns: Sequence[str] | None = None) -> Fragment:
    """Read a fragment, or some of its columns.

    What it says it will take is looked at before it is unpacked.

    Raises:
        IntegrityError: not a fragment, one that would take more memory than any shard's, or of a
            format version this software does not read.
    """
    wanted = list(columns or SCHEMA.names)
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            metadata = file.schema_arrow.metadata or {}
            _require_version(shard, metadata)
            _require_bounded(shard, file, wanted)
            if file.metadata.num_rows * _num_bytes(file) > MAX_BYTES:
                _require_bounded_texts(shard, content, file.schema_arrow)
            table = _completed(file.read(columns=wanted, use_threads=False), wanted)
        array_groups = _GROUPS.validate_json(metadata.get(_GROUPS_KEY, b""))
    except (pa.ArrowException, ValueError, LookupError, OSError, MemoryError) as error:
        raise IntegrityError(
            f"fragment {shard} cannot be read ({in_words(error)}); remove it to have its images "
            "done again"
        ) from error
    return Fragment(shard, table.replace_schema_metadata(None), array_groups)


def _require_version(shard: str, metadata: Mapping[bytes, bytes]) -> None:
    version = metadata.get(_VERSION_KEY, b"none").decode(errors="replace")[:20]
    if version != str(FORMAT_VERSION):
        raise IntegrityError(
            f"fragment {shard} has format version {version}, expected {FORMAT_VERSION}: "
            "it was not written by this software"
        )


def _require_bounded(shard: str, file: pq.ParquetFile, columns: Sequence[str]) -> None:
    num_rows, num_bytes, schema = file.metadata.num_rows, _num_bytes(file), file.schema_arrow
    if num_rows > MAX_ROWS or num_bytes > MAX_BYTES:
        raise _too_large(shard, f"{num_rows} rows, {num_bytes} bytes")
    for name in columns:
        if name in schema.names and schema.field(name).type != SCHEMA.field(name).type:
            raise IntegrityError(
                f"fragment {shard}: column {name} is {str(schema.field(name).type)[:60]}, "
                f"expected {SCHEMA.field(name).type}; it was not written by redepth"
            )


def _num_bytes(file: pq.ParquetFile) -> int:
    said = file.metadata
    return sum(said.row_group(number).total_byte_size for number in range(said.num_row_groups))


def _require_bounded_texts(shard: str, content: bytes, schema: pa.Schema) -> None:
    """Reckon what texts take once every row has its own: one long text may stand in many rows.

    They are read as indices into the texts that differ, which are within the file's own size.
    """
    names = [field.name for field in schema if field.type == pa.string()]
    with pq.ParquetFile(pa.BufferReader(content), read_dictionary=names) as file:
        table = file.read(columns=names, use_threads=False)
    num_bytes = 0
    for column in table.columns:
        for chunk in column.chunks:
            lengths = pc.binary_length(chunk.dictionary).take(chunk.indices)
            num_bytes += pc.sum(lengths.cast(pa.int64())).as_py() or 0
    if num_bytes > MAX_BYTES:
        raise _too_large(shard, f"{num_bytes} bytes of text")


def _too_large(shard: str, what: str) -> IntegrityError:
    return IntegrityError(
        f"fragment {shard} has {what}; expected at most {MAX_ROWS} rows of {MAX_BYTES} bytes in "
        "all: it was not written by redepth, do not use this output"
    )


def _completed(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Add columns that a fragment of an older redepth does not have yet: null in every row."""
    for name in columns:
        field = SCHEMA.field(name)
        if name not in table.column_names and field.nullable:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(list(columns))


def row_from_columns(values: dict[str, Any]) -> LabelRow:
    """Make a row from a line of the table, the enumerations being names there.

    Raises:
        IntegrityError: no redepth writes such a row.
    """
    kind, focal_source = values["kind"], values["focal_source"]
    try:
        typed = {
            "outcome": Outcome(values["outcome"]),
            "kind": None if kind is None else DepthKind(kind),
            "focal_source": None if focal_source is None else FocalSource(focal_source),
        }
    except ValueError as error:
        raise _no_such_row(values, in_words(error)) from error
    _require_place(values)
    return LabelRow(**{**values, **typed})


def _require_place(values: Mapping[str, Any]) -> None:
    """Hold a row to a place that there can be; whether it is there is the group's to say."""
    for what, name in (("shard", values["shard"]), ("array group", values["array_group"])):
        if name is not None:
            layout.require_name(what, name)
    for name in ("height_px", "width_px", "image_height_px", "image_width_px"):
        if values[name] is not None and not 0 < values[name] <= _MAX_SIDE_PX:
            raise _no_such_row(values, f"{name} is {values[name]}")
    for name in ("size_bytes", "offset_bytes"):
        if values[name] is not None and values[name] < 0:
            raise _no_such_row(values, f"{name} is {values[name]}")
    index = values["array_index"]
    if index is not None and not 0 <= index < MAX_ROWS:
        raise _no_such_row(values, f"array_index is {index}")


def _no_such_row(values: Mapping[str, Any], problem: str) -> IntegrityError:
    return IntegrityError(
        f"the row of {str(values['id'])[:200]!r} was not written by redepth: {problem}; do not use "
        "this output"
    )
