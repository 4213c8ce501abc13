"""Files below a folder or a prefix, one after another, in the order of their names.

Every walk streams: a folder's names are held while it is walked, objects come page by page. The
order is that in which S3 lists keys (by the bytes of the whole path), so a local copy of a bucket
is walked in the same order as the bucket. Hidden files and folders (a leading dot) are passed over
unless a glob names them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from redepth.errors import ConfigError
from redepth.filesystems import open_bucket
from redepth.images.opening import open_source
from redepth.redaction import shown
from redepth.storage_errors import in_words

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

logger = logging.getLogger(__name__)

OBJECT_STORES = ("s3", "gs", "az")
_KEYS_PER_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """A file as a listing saw it: canonical uri, and what came with it at no extra request."""

    uri: str
    size_bytes: int | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a walk is to yield.

    Attributes:
        keeps: whether a file of this uri is wanted.
        hidden: whether names with a leading dot are looked at.
        max_depth: folders below the start that are entered; None for all.
    """

    keeps: Callable[[str], bool]
    hidden: bool = False
    max_depth: int | None = None

    def below(self) -> Wanted:
        depth = None if self.max_depth is None else self.max_depth - 1
        return Wanted(self.keeps, self.hidden, depth)


def walk(start: str, wanted: Wanted) -> Iterator[Found]:
    """Yield the wanted files below a canonical folder uri, whatever storage it names."""
    protocol, has_protocol, rest = start.partition("://")
    if not has_protocol:
        return walk_folder(start, wanted)
    if protocol in OBJECT_STORES and "::" not in start:
        return _walk_bucket(protocol, rest, wanted)
    return _walk_filesystem(start, wanted)


def walk_folder(folder: str, wanted: Wanted) -> Iterator[Found]:
    """Yield the wanted files below a local folder; linked folders inside it are not entered.

    A folder inside it that is removed meanwhile has no files any more.
    """
    for name in _sorted_names(folder, wanted):
        path = f"{folder.rstrip('/')}/{name}"
        if not name.endswith("/"):
            if wanted.keeps(path):
                yield stat_file(path)
        elif wanted.max_depth != 0:
            yield from _folder_below(path.rstrip("/"), wanted.below())


def _folder_below(folder: str, wanted: Wanted) -> Iterator[Found]:
    try:
        yield from walk_folder(folder, wanted)
    except FileNotFoundError:
        logger.warning("%s was removed while it was listed: passed over", shown(folder))


def stat_file(path: str) -> Found:
    """Return a local file with its size and modification time, None where a link is broken."""
    try:
        status = os.stat(path)  # noqa: PTH116 a Path for each of a million files is the slow part
    except OSError:  # a broken link: decoding will say so, and the catalogue keep it
        return Found(path)
    return Found(path, status.st_size, str(status.st_mtime_ns))


def find_one(uri: str) -> Found:
    """Return a single remote file with its size and version, or raise as its filesystem does."""
    filesystem, path = open_source(uri)
    return _from_info(uri, filesystem.info(path))


def _sorted_names(folder: str, wanted: Wanted) -> list[str]:
    """Return a folder's names, folders with a slash: strings, for a million DirEntry are 400 MB."""
    with os.scandir(folder) as entries:
        names = [_name(entry) for entry in entries if wanted.hidden or entry.name[0] != "."]
    return sorted(filter(None, names))


def _name(entry: os.DirEntry[str]) -> str:
    if entry.is_dir(follow_symlinks=False):
        return entry.name + "/"
    if entry.is_symlink() and entry.is_dir():
        logger.warning(
            "not entering the linked folder %s: list it as its own source", shown(entry.path)
        )
        return ""
    if entry.is_symlink() or entry.is_file():
        return entry.name
    return ""  # a pipe or a socket: reading it could wait for ever


def _walk_bucket(protocol: str, bucket_and_prefix: str, wanted: Wanted) -> Iterator[Found]:
    """Yield the wanted objects below a prefix through obstore, page by page."""
    bucket, _, prefix = bucket_and_prefix.partition("/")
    prefix = prefix.rstrip("/")
    for entry in _objects(open_bucket(protocol, bucket), prefix):
        key = entry["path"]
        uri = f"{protocol}://{bucket}/{key}"
        if wanted.keeps(uri) and (wanted.hidden or not _is_hidden(key[len(prefix) :])):
            yield Found(uri, entry["size"], (entry["e_tag"] or "").strip('"') or None)


def _objects(store: ObjectStore, prefix: str) -> Iterator[ObjectMeta]:
    from obstore.exceptions import InvalidPathError

    try:
        for page in store.list(prefix or None, chunk_size=_KEYS_PER_PAGE):
            yield from page
    except InvalidPathError as error:  # obstore has no way around a key with "//" in it
        raise ConfigError(
            f"{in_words(error)}: such a key cannot be listed; rename the object, or name the "
            "images in a list file"
        ) from error


def _is_hidden(key: str) -> bool:
    return key.startswith(".") or "/." in key


def _walk_filesystem(start: str, wanted: Wanted) -> Iterator[Found]:
    """Yield the wanted files of any other fsspec filesystem, folder by folder.

    Uris are `start` with the rest of the path in it, so that a chained URL stays chained.
    """
    filesystem, root = open_source(start)
    head, separator, chained = start.partition("::")
    head = head if head.endswith("/") else head + "/"
    for info in _walk_listing(filesystem, root, wanted):
        below = info["name"][len(root) :].strip("/")
        uri = f"{head}{below}{separator}{chained}"
        if wanted.keeps(uri):
            yield _from_info(uri, info)


def _walk_listing(filesystem: Any, folder: str, wanted: Wanted) -> Iterator[Mapping[str, Any]]:
    for info in sorted(filesystem.ls(folder, detail=True), key=_listing_key):
        path = info["name"].rstrip("/")
        if path.rpartition("/")[2].startswith(".") and not wanted.hidden:
            continue
        if info["type"] != "directory":
            yield info
        elif wanted.max_depth != 0:
            yield from _walk_listing(filesystem, path, wanted.below())


def _listing_key(info: Mapping[str, Any]) -> str:
    name = str(info["name"]).rstrip("/")
    return name + "/" if info["type"] == "directory" else name


def _from_info(uri: str, info: Mapping[str, Any]) -> Found:
    size = info.get("size")
    return Found(uri, None if size is None else int(size), _version(info))


def _version(info: Mapping[str, Any]) -> str | None:
    """Return the ETag, else the modification time in nanoseconds, under any of their names."""
    for name in ("ETag", "etag"):
        if info.get(name):
            return str(info[name]).strip('"')
    for name in ("mtime", "LastModified", "last_modified", "modified", "updated", "created"):
        moment = info.get(name)
        if isinstance(moment, datetime):
            return str(round(moment.timestamp() * 1e9))
        if isinstance(moment, int | float):
            return str(round(moment * 1e9))
    return None
