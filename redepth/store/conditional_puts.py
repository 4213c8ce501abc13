"""Putting an object only if it still is as it was: a commit, or the lease, loses no other writer's.

- a local folder: compared and renamed under a lock of the folder, which the kernel drops with the
  process; where the filesystem has no such lock (some network mounts), without;
- S3: the server compares, If-None-Match for a new object and If-Match for one that was read;
- elsewhere, and on an S3 server that says it cannot: compared, then put. Of two writers that do so
  within the same moment the last one wins, whole.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redepth.errors import RedepthError
from redepth.storage_errors import server_code, storage_errors
from redepth.store.objects import Objects
from redepth.store.rows import MAX_BYTES

_SOMEBODY_WAS_FASTER = ("PreconditionFailed", "ConditionalRequestConflict")
_CANNOT_COMPARE = "NotImplemented"


@dataclass(frozen=True, slots=True)
class Versioned:
    """An object as it was read.

    Attributes:
        tag: the server's ETag, taken before the content was: if both do not belong together, the
            object has changed since the tag, and putting over it is refused.
    """

    content: bytes
    tag: str | None = None


def read_versioned(objects: Objects, name: str) -> Versioned | None:
    """Read one object to put over it later; None if it is not there."""
    try:
        # A shard's fragment is nearly always new, and a GET says so; for a tag, s3fs also lists
        # what could be a folder of that name.
        content = objects.read(name, MAX_BYTES)
        if not objects.is_s3:
            return Versioned(content)
        tag = objects.tag(name)
        return Versioned(objects.read(name, MAX_BYTES), tag)
    except FileNotFoundError:
        return None


def put_if_unchanged(objects: Objects, name: str, content: bytes, seen: Versioned | None) -> bool:
    """Put an object if it still is as it was seen (None: not there); return whether it now is ours.

    Also True where the object holds `content` already: a request that was tried again may meet
    what its own first try has written.
    """
    if objects.is_s3:
        return _put_on_s3(objects, name, content, seen)
    if not objects.is_local:
        return _compare_and_put(objects, name, content, seen)
    folder = Path(objects.full_path(name)).parent
    with storage_errors(objects.url, missing_is_wrong=True):
        if seen is not None and not folder.is_dir():
            return False  # it was removed, and is not brought back
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            return _compare_and_put(objects, name, content, seen)


def _put_on_s3(objects: Objects, name: str, content: bytes, seen: Versioned | None) -> bool:
    for condition in _conditions(seen):
        try:
            objects.put(name, content, condition)
        except RedepthError as error:
            if server_code(error) == _CANNOT_COMPARE:
                return _compare_and_put(objects, name, content, seen)
            if server_code(error) not in _SOMEBODY_WAS_FASTER:
                raise
            found = read_versioned(objects, name)
            if not _same(found, seen):
                return found is not None and found.content == content
        else:
            return True
    return False


def _conditions(seen: Versioned | None) -> list[dict[str, str]]:
    """Return the request's headers in each spelling: radosgw compares an ETag without its quotes.

    A server that does not know a spelling says that the object has changed, which one can see.
    """
    if seen is None:
        return [{"IfNoneMatch": "*"}]
    tag = seen.tag or ""
    return [{"IfMatch": tag}, {"IfMatch": tag.strip('"')}]


def _compare_and_put(objects: Objects, name: str, content: bytes, seen: Versioned | None) -> bool:
    found = read_versioned(objects, name)
    if not _same(found, seen):
        return found is not None and found.content == content
    objects.put(name, content)
    return True


def _same(found: Versioned | None, seen: Versioned | None) -> bool:
    return (found and found.content) == (seen and seen.content)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # no locks of folders here
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
