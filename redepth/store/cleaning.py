"""What runs that were killed left behind: objects that nothing names, found and removed.

An array group that no row names is left by a writer that was killed before its commit, that lost to
another one, or by labels that were tried again since. A writer at work has such groups too, hence
the age: what changed lately is left alone. `lease.json` stays, whoever left it: the next run takes
it over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from redepth.storage_errors import storage_errors
from redepth.store import layout
from redepth.store.catalogue import read_fragments
from redepth.store.objects import Objects, open_objects

_TEMPORARY = ".tmp"  # beside its target, see `redepth.store.objects`


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that nothing names.

    Attributes:
        name: an array group's folder, a temporary file, an object that `redepth doctor` tried the
            storage with, or the object of an unfinished upload.
        objects: the names of its objects; none for an unfinished upload.
        changed: when the last of them was written, UTC.
        upload_id: of an unfinished multipart upload, else None.
    """

    name: str
    objects: tuple[str, ...]
    num_bytes: int
    changed: datetime
    upload_id: str | None = None


def find_leftovers(out: str, older_than: timedelta, now: datetime) -> list[Leftover]:
    """Find what nothing names and nobody has changed for a while; removes nothing.

    Groups are listed before the rows that name them are read, so that one committed in between is
    not taken for a leftover.

    Raises:
        CommitConflict: a fragment vanished meanwhile.
    """
    objects = open_objects(out)
    groups = _groups(objects)
    others = [*_temporaries(objects), *_trials(objects), *_uploads(objects)]
    named = _named_groups(objects)
    left = [group for group in groups if group.name not in named]
    whole = tuple(f"{group.name}/" for group in left)
    left += [one for one in others if not one.name.startswith(whole)]
    return sorted(
        (one for one in left if now - one.changed >= older_than), key=lambda one: one.name
    )


def remove_leftovers(out: str, leftovers: Iterable[Leftover]) -> Iterator[Leftover]:
    """Remove leftovers one by one, and yield each that is gone.

    A group's zarr.json goes first: what a kill leaves of it is still a leftover.
    """
    objects = open_objects(out)
    for leftover in leftovers:
        if leftover.upload_id is not None:
            _abort(objects, leftover)
        for name in sorted(leftover.objects, key=lambda n: n != f"{leftover.name}/zarr.json"):
            objects.delete(name)
        objects.delete_folders(leftover.name)
        yield leftover


def _named_groups(objects: Objects) -> set[str]:
    named: set[str] = set()
    for part in read_fragments(objects, ("array_group",)):
        groups: pa.ChunkedArray = part.table["array_group"].drop_null().unique()
        named.update(map(layout.group_folder, groups.to_pylist()))
    return named


def _groups(objects: Objects) -> list[Leftover]:
    by_group: dict[str, list[tuple[str, int, datetime]]] = defaultdict(list)
    for name, size, changed in _found_below(objects, layout.ARRAYS):
        by_group["/".join(PurePosixPath(name).parts[:2])].append((name, size, changed))
    return [
        Leftover(
            folder,
            tuple(name for name, _, _ in found),
            sum(size for _, size, _ in found),
            max(changed for _, _, changed in found),
        )
        for folder, found in by_group.items()
    ]


def _temporaries(objects: Objects) -> list[Leftover]:
    """List the files that killed writers have left beside their targets."""
    if not objects.is_local:
        return []
    return [
        Leftover(name, (name,), size, changed)
        for name, size, changed in _found_below(objects, "")
        if name.endswith(_TEMPORARY) and PurePosixPath(name).name.startswith(".")
    ]


def _trials(objects: Objects) -> list[Leftover]:
    """List what a `redepth doctor` that was killed has left at the root."""
    with storage_errors(objects.url):
        infos: list[dict[str, Any]] = objects.fs.ls(objects.path, detail=True)
    names = [str(info["name"]).rsplit("/", 1)[-1] for info in infos]
    return [
        Leftover(name, (name,), int(info["size"]), _changed(info))
        for name, info in zip(names, infos, strict=True)
        if name.startswith(layout.PROBE)
    ]


def _found_below(objects: Objects, folder: str) -> Iterator[tuple[str, int, datetime]]:
    root = objects.full_path(folder).rstrip("/")
    with storage_errors(objects.url):
        found: dict[str, dict[str, Any]] = objects.fs.find(root, detail=True)
    for path, info in found.items():
        yield path.removeprefix(objects.path).lstrip("/"), int(info["size"]), _changed(info)


def _changed(info: dict[str, Any]) -> datetime:
    """Return when an object was written, under the names that fsspec's filesystems have for it."""
    for name in ("LastModified", "last_modified", "mtime", "created"):
        moment = info.get(name)
        if isinstance(moment, datetime):
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(moment, int | float):
            return datetime.fromtimestamp(moment, UTC)
    return datetime.now(UTC)  # it tells none: as if it were new, so that nothing is removed


def _uploads(objects: Objects) -> list[Leftover]:
    """List multipart uploads that were never completed: nobody sees them, and they are paid for."""
    if not objects.is_s3:
        return []
    bucket, _, prefix = objects.path.partition("/")
    with storage_errors(objects.url):
        said = objects.fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{prefix}/")
    return [
        Leftover(
            upload["Key"].removeprefix(f"{prefix}/"),
            (),
            0,
            upload["Initiated"],
            upload["UploadId"],
        )
        for upload in said.get("Uploads", [])
    ]


def _abort(objects: Objects, leftover: Leftover) -> None:
    bucket, _, key = objects.full_path(leftover.name).partition("/")
    with storage_errors(objects.url):
        objects.fs.call_s3(
            "abort_multipart_upload", Bucket=bucket, Key=key, UploadId=leftover.upload_id
        )
