"""Manifests: what a plan found to do, as Parquet of which a task reads just its own rows.

One row an image. Rows of a shard are contiguous and shards are numbered upwards, so that a row
group's statistics on `shard_number` tell whether a task needs it. A place of the collection that
could not be listed is a row of its own kind: it has a `fault`, in place of a shard. What the
listing passed over stands in the file's metadata, by kind.

Manifests are numbered: each has one more than the highest that was there. Their order does not rest
on clocks, which differ between machines and may be wrong by days.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from redepth.errors import CommitConflict
from redepth.images.noticed import ListingFault, Noticed, Notices, passed_over_of
from redepth.images.uris import canonical_id
from redepth.store.layout import MANIFESTS, PARQUET
from redepth.store.objects import Objects, open_objects
from redepth.types import ImageRef

IMAGE_FIELDS = (
    pa.field("id", pa.string(), nullable=False),
    pa.field("uri", pa.string(), nullable=False),
    pa.field("size_bytes", pa.int64()),
    pa.field("version", pa.string()),
    pa.field("caption", pa.string()),
    pa.field("offset_bytes", pa.int64()),
    pa.field("focal_px", pa.float64()),
    pa.field("fov_deg", pa.float64()),
)
IMAGE_SCHEMA = pa.schema(IMAGE_FIELDS)
SCHEMA = pa.schema(
    [
        *IMAGE_FIELDS,
        pa.field("shard", pa.string(), nullable=False),
        pa.field("array_group", pa.string(), nullable=False),
        pa.field("shard_number", pa.int32(), nullable=False),
        pa.field("if_changed", pa.bool_()),
        pa.field("fault", pa.string()),
    ]
)
_NO_SHARD = -1
_PASSED_OVER = "passed_over"
ROWS_PER_GROUP = 8192
_STAMP = "%Y%m%dT%H%M%S%fZ"
_NAME = re.compile(r"(?P<number>\d{8,})-(?P<stamp>\d{8}T\d{12}Z)-(?P<work>[0-9a-f]{12})\.parquet")
_CLOCKS_MAY_DIFFER = timedelta(minutes=5)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """The images one shard's task is to label.

    Attributes:
        shard: see `shard_id`; names the fragment.
        array_group: names the try: the shard's own name, or `<shard>.<k>` on a retry. The group
            that holds the pixels is called so, with a digest of them behind.
        images: in the order of the rows and of the arrays.
        manifest: name of the manifest this was read from, None if from none.
        if_changed: ids of images that have a label and are here only because size or version of
            their photographs are others by now: with the same bytes they keep it.
    """

    shard: str
    array_group: str
    images: tuple[ImageRef, ...]
    manifest: str | None = None
    if_changed: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.images:
            raise ValueError(f"shard {self.shard} has no images")

    @property
    def is_retry(self) -> bool:
        return self.array_group != self.shard


def write_rows(path: Path, tables: Iterable[pa.Table], noticed: Noticed) -> str:
    """Stream tables of SCHEMA into a local Parquet file; return the digest over their tries.

    Args:
        noticed: by the listing that the tables come from; written when they have ended.
    """
    digest = hashlib.sha256()
    with pq.ParquetWriter(
        path,
        SCHEMA,
        compression="zstd",
        use_dictionary=["shard", "array_group"],
        write_statistics=["shard_number"],
    ) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)
            digest.update("".join(table["array_group"].unique().to_pylist()).encode())
        notices = noticed.notices()
        if notices.faults:
            writer.write_table(_fault_rows(notices), row_group_size=ROWS_PER_GROUP)
        writer.add_key_value_metadata({_PASSED_OVER: notices.passed_over_json()})
    return digest.hexdigest()[:12]


def _fault_rows(notices: Notices) -> pa.Table:
    rows = [
        {
            "id": canonical_id(fault.place),
            "uri": fault.place,
            "shard": "",
            "array_group": "",
            "shard_number": _NO_SHARD,
            "fault": fault.reason,
        }
        for fault in notices.faults
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def put_manifest(objects: Objects, path: Path, work: str) -> str:
    """Put a file of `write_rows` as the newest manifest; return its name."""
    name = _next_name(objects, work)
    objects.put_file(name, path)
    return name


def read_shard_plans(manifest_url: str, start: int, stop: int) -> Iterator[ShardPlan]:
    """Yield shards number start..stop-1 of a manifest, reading only the row groups that hold them.

    Raises:
        CommitConflict: the manifest is not there any more.
    """
    root, _, name = manifest_url.rpartition("/")
    try:
        with open_objects(root).opened(name) as source, pq.ParquetFile(source) as file:
            rows = _rows_between(file, start, stop)
            for _, lines in groupby(rows, key=itemgetter("shard_number")):
                yield _shard_plan(list(lines), f"{MANIFESTS}/{name}")
    except FileNotFoundError as error:
        raise CommitConflict(
            f"manifest {manifest_url} is not there any more; plan again"
        ) from error


def planned_at(manifest: str) -> datetime:
    """Return when a manifest was written, by the clock of its writer, as its name or URL says."""
    return _time(_parsed(manifest))


def newest_manifest(objects: Objects) -> str | None:
    """Name the manifest of the output's last plan, None if there is none.

    Names that no plan gives are passed over.
    """
    names = [name for name in objects.list(MANIFESTS, PARQUET) if _match(name)]
    return max(names, key=_place, default=None)


def is_newer(manifest: str, than: str) -> bool:
    """Whether one manifest's plan is the later one; of equal numbers the names decide.

    Two plans get one number when they look at the same moment: all must see the same one win.
    """
    return _place(manifest) > _place(than)


def work_digest(manifest: str) -> str:
    """Return the digest over the tries of a manifest, as its name or URL says."""
    return _parsed(manifest)["work"]


def latest_manifest_ids(objects: Objects) -> pa.ChunkedArray:
    """Return the image ids of the newest manifest, none if there is no manifest."""
    newest = newest_manifest(objects)
    if newest is None:
        return pa.chunked_array([], pa.string())
    with objects.opened(newest) as source, pq.ParquetFile(source) as file:
        rows = file.read(columns=["id", "shard_number"])
        return rows.filter(pc.field("shard_number") != _NO_SHARD)["id"]


def latest_notices(objects: Objects) -> Notices:
    """Return what the listing of the newest manifest noticed, nothing if there is no manifest."""
    newest = newest_manifest(objects)
    if newest is None:
        return Notices()
    with objects.opened(newest) as source, pq.ParquetFile(source) as file:
        written = (file.metadata.metadata or {}).get(_PASSED_OVER.encode(), b"[]")
        rows = _rows_between(file, _NO_SHARD, _NO_SHARD + 1)
        faults = tuple(ListingFault(row["uri"], row["fault"]) for row in rows)
        return Notices(faults, passed_over_of(written.decode()))


def newest_if_changed(objects: Objects) -> pa.Table:
    """Return id, shard and array_group of the newest manifest's images with `if_changed`.

    No rows if there is no manifest, or one that does not say so: of an older redepth, or nobody's.
    """
    newest = newest_manifest(objects)
    columns = ["id", "shard", "array_group"]
    nothing = SCHEMA.empty_table().select(columns)
    if newest is None:
        return nothing
    with objects.opened(newest) as source, pq.ParquetFile(source) as file:
        types = {field.name: field.type for field in file.schema_arrow}
        if any(types.get(name) != SCHEMA.field(name).type for name in (*columns, "if_changed")):
            return nothing
        rows = file.read(columns=[*columns, "if_changed"])
    return rows.filter(rows["if_changed"]).select(columns)


def _next_name(objects: Objects, work: str) -> str:
    newest, now = newest_manifest(objects), _now()
    number = 1
    if newest is not None:
        number = int(_parsed(newest)["number"]) + 1
        _warn_of_clocks(objects, newest, now)
    return f"{MANIFESTS}/{number:08d}-{now.strftime(_STAMP)}-{work}{PARQUET}"


def _warn_of_clocks(objects: Objects, newest: str, now: datetime) -> None:
    ahead = planned_at(newest) - now
    if ahead > _CLOCKS_MAY_DIFFER:
        logger.warning(
            "%s/%s was planned %s after now, by its own name: the clock here or that of the "
            "machine that planned it is wrong. The order of plans does not depend on it; dates and "
            "durations in reports do. Set the clocks",
            objects.url,
            newest,
            ahead,
        )


def _now() -> datetime:
    return datetime.now(UTC)


def _match(manifest: str) -> re.Match[str] | None:
    """Take a name apart, None if no plan gives such a name."""
    match = _NAME.fullmatch(manifest.rpartition("/")[2])
    with suppress(ValueError):  # the 30th of February
        if match is not None and _time(match):
            return match
    return None


def _time(match: re.Match[str]) -> datetime:
    return datetime.strptime(match["stamp"], _STAMP).replace(tzinfo=UTC)


def _parsed(manifest: str) -> re.Match[str]:
    match = _match(manifest)
    if match is None:
        raise ValueError(f"{manifest} is not a manifest's name: <number>-<time>-<digest>.parquet")
    return match


def _place(manifest: str) -> tuple[int, str]:
    match = _parsed(manifest)
    return int(match["number"]), match[0]


def _rows_between(file: pq.ParquetFile, start: int, stop: int) -> Iterator[dict[str, Any]]:
    column = file.schema_arrow.get_field_index("shard_number")
    for group in range(file.metadata.num_row_groups):
        numbers = file.metadata.row_group(group).column(column).statistics
        if numbers.min < stop and numbers.max >= start:
            for row in file.read_row_group(group).to_pylist():
                if start <= row["shard_number"] < stop:
                    yield row


def _shard_plan(rows: list[dict[str, Any]], manifest: str) -> ShardPlan:
    # A manifest of an older redepth has fewer columns.
    known = [name for name in IMAGE_SCHEMA.names if name in rows[0]]
    images = tuple(ImageRef(**{name: row[name] for name in known}) for row in rows)
    if_changed = frozenset(row["id"] for row in rows if row.get("if_changed"))
    return ShardPlan(rows[0]["shard"], rows[0]["array_group"], images, manifest, if_changed)
