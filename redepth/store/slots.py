"""One small object that is changed by compare-and-swap, on whatever storage an output lies.

On a disk the swap happens under a lock that the kernel drops when its holder dies; on a bucket it
is a conditional put. A storage that has neither (or a bucket that does not know the condition) gets
a plain put that is read back: two writers within the same second may then both believe they won.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from redepth.filesystems import open_bucket
from redepth.storage_faults import storage_errors
from redepth.store.objects import Objects

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import ObjectStore

logger = logging.getLogger(__name__)

_BUCKETS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
_SETTLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Held:
    """What a slot holds: its content, and a tag that changes with every swap."""

    content: bytes
    tag: str


class Slot(Protocol):
    """One object that several processes change, each only if it is still as they saw it."""

    def read(self) -> Held | None:
        """Return what is there now, None if nothing is."""

    def swap(self, seen: Held | None, content: bytes) -> Held | None:
        """Put `content` in place of what was `seen`; None if it is not there any more."""


def open_slot(objects: Objects, name: str) -> Slot:
    """Open the slot of that name below an output's root; touches nothing yet."""
    if objects.is_local:
        return _LocalSlot(Path(objects.full_path(name)))
    protocol, _, rest = objects.url.partition("://")
    if protocol in _BUCKETS and "::" not in objects.url:
        bucket, _, prefix = rest.partition("/")
        key = f"{prefix.strip('/')}/{name}".strip("/")
        return _BucketSlot(objects, _BUCKETS[protocol], bucket, key, _PlainSlot(objects, name))
    return _PlainSlot(objects, name)


@dataclass(frozen=True, slots=True)
class _LocalSlot:
    """A file, changed under a lock on its folder, which the kernel drops when we die."""

    path: Path

    def read(self) -> Held | None:
        with storage_errors(str(self.path)):
            try:
                return _held(self.path.read_bytes())
            except FileNotFoundError:
                return None

    def swap(self, seen: Held | None, content: bytes) -> Held | None:
        with storage_errors(str(self.path), missing_is_wrong=True):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self.path.parent):
                if self.read() != seen:
                    return None
                temporary = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.tmp")
                temporary.write_bytes(content)
                temporary.replace(self.path)
                return _held(content)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _BucketSlot:
    """An object, changed by a conditional put: If-None-Match creates it, If-Match replaces it."""

    objects: Objects
    protocol: str
    bucket: str
    key: str
    plain: _PlainSlot

    def read(self) -> Held | None:
        from obstore.exceptions import NotFoundError

        with storage_errors(self.objects.url):
            try:
                found = self._store().get(self.key)
            except (NotFoundError, FileNotFoundError):
                # Of the bucket, too, obstore says "not found": the put that follows tells which.
                return None
            return Held(bytes(found.bytes()), str(found.meta["e_tag"]))

    def swap(self, seen: Held | None, content: bytes) -> Held | None:
        if seen is None:
            return self._put(content, "create")
        done = self._put(content, {"e_tag": seen.tag})
        if done is None and self.read() == seen:
            # It is as we saw it, and still no match: older Ceph compares the tag without its
            # quotes, which other servers ask for.
            done = self._put(content, {"e_tag": seen.tag.strip('"')})
        return done

    def _put(self, content: bytes, mode: PutMode) -> Held | None:
        from obstore.exceptions import AlreadyExistsError, NotSupportedError, PreconditionError

        with storage_errors(self.objects.url, missing_is_wrong=True):
            try:
                done = self._store().put(self.key, content, mode=mode)
            except (AlreadyExistsError, PreconditionError):
                return None
            except NotSupportedError as error:
                logger.warning("%s knows no conditional put (%s)", self.objects.url, error)
                return self.plain.swap(self.plain.read(), content)
            return Held(content, str(done["e_tag"]))

    def _store(self) -> ObjectStore:
        return open_bucket(self.protocol, self.bucket)


@dataclass(frozen=True, slots=True)
class _PlainSlot:
    """An object that is put, and read back once everybody else's put has had time to arrive."""

    objects: Objects
    name: str

    def read(self) -> Held | None:
        try:
            return _held(self.objects.read(self.name))
        except FileNotFoundError:
            return None

    def swap(self, seen: Held | None, content: bytes) -> Held | None:
        if _content(self.read()) != _content(seen):
            return None
        self.objects.put(self.name, content)
        time.sleep(_SETTLE_S)
        there = self.read()
        return there if _content(there) == content else None


def _content(held: Held | None) -> bytes | None:
    return None if held is None else held.content


def _held(content: bytes) -> Held:
    return Held(content, hashlib.sha256(content).hexdigest())
