"""Files below a folder or a prefix, one after another, in the order of their names.

Every walk streams: a folder's names are held while it is walked, objects come page by page. The
order is that in which S3 lists keys (by the bytes of the whole path), so a local copy of a bucket
is walked in the same order as the bucket. Hidden files and folders are passed over unless a glob
names them, and so is what redepth wrote itself; both are counted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from redepth.errors import ImageRejected
from redepth.filesystems import open_bucket
from redepth.images.allowed import ANYTHING
from redepth.images.archives.members import archive_files, is_in_archive, read_member
from redepth.images.archives.tar_contents import member_key
from redepth.images.hidden import hidden_kind
from redepth.images.noticed import LINKED_FOLDERS, NOT_REGULAR, REMOVED, Noticed, kind_by_name
from redepth.images.opening import open_source
from redepth.images.own_outputs import own_folders, own_kind, own_tree
from redepth.images.reading import open_regular
from redepth.storage_errors import Fault, classify, in_words

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

T = TypeVar("T")

OBJECT_STORES = ("s3", "gs", "az")
_KEYS_PER_PAGE = 1000
_MAY_PASS = (Fault.TRANSIENT, Fault.UNREACHABLE, Fault.SETUP)


@dataclass(frozen=True, slots=True)
class Found:
    """A file as a listing saw it: canonical uri, and what came with it at no extra request."""

    uri: str
    size_bytes: int | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a walk is to yield, and whom it tells of the rest.

    Attributes:
        keeps: whether a file of this uri is listed.
        noticed: is told of what was asked for and is not listed.
        asked: whether a person asked for a file of this uri; a glob asks for what it matches.
        hidden: whether names with a leading dot are looked at.
        max_depth: folders below the start that are entered; None for all.
    """

    keeps: Callable[[str], bool]
    noticed: Noticed
    asked: Callable[[str], bool] = lambda uri: True
    hidden: bool = False
    max_depth: int | None = None

    def below(self) -> Wanted:
        """Return what is wanted of a folder in this one."""
        depth = None if self.max_depth is None else self.max_depth - 1
        return replace(self, max_depth=depth)

    def lists(self, uri: str) -> bool:
        """Whether a file is listed; one that was asked for and is not, is counted."""
        if not self.asked(uri):
            return False
        if self.keeps(uri):
            return True
        self.noticed.passed_over(kind_by_name(uri), uri)
        return False

    def passes_over(self, name: str, uri: str) -> bool:
        """Whether a file or folder of that name is none of a person's photographs.

        Args:
            name: its own, or its path below the start.
        """
        kind = None if self.hidden else hidden_kind(name)
        if kind is None:
            return False
        if self.asked(uri):
            self.noticed.passed_over(kind, uri)
        return True


def walk(start: str, wanted: Wanted) -> Iterator[Found]:
    """Yield the wanted files below a canonical folder uri, whatever storage it names.

    A folder inside it that cannot be read is noticed as a fault, and the walk goes on.
    """
    protocol, has_protocol, rest = start.partition("://")
    if not has_protocol:
        return walk_folder(start, wanted)
    if protocol in OBJECT_STORES and "::" not in start:
        return _walk_bucket(protocol, rest, wanted)
    if is_in_archive(start):
        return _walk_archive(start, wanted)
    return _walk_filesystem(start, wanted)


def walk_folder(folder: str, wanted: Wanted) -> Iterator[Found]:
    """Yield the wanted files below a local folder; linked folders inside it are not entered."""
    names = _sorted_names(folder, wanted)
    own = own_tree(names, lambda name, size: _start_of(f"{folder}/{name}", size))
    if own is not None:
        wanted.noticed.passed_over(own, folder)
        return
    for name in names:
        path = f"{folder.rstrip('/')}/{name}"
        if not name.endswith("/"):
            if wanted.lists(path):
                yield stat_file(path)
        elif wanted.max_depth != 0:
            below = path.rstrip("/")
            yield from _told(below, walk_folder(below, wanted.below()), wanted.noticed)


def _told(folder: str, found: Iterator[T], noticed: Noticed) -> Iterator[T]:
    """Yield what is found in a folder below the start; trouble there does not end the walk.

    A storage that may answer the next time is no fault of the folder: the plan is tried again.
    """
    try:
        yield from found
    except FileNotFoundError:
        noticed.passed_over(REMOVED, folder)
    except OSError as error:
        if "://" in folder and classify(error) in _MAY_PASS:
            raise
        noticed.fault(folder, f"the folder cannot be read ({in_words(error)})")


def _start_of(path: str, max_bytes: int) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(max_bytes)
    except ImageRejected:  # a pipe, a device
        return b""


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
        names = [_name(entry, wanted) for entry in entries]
    return sorted(filter(None, names))


def _name(entry: os.DirEntry[str], wanted: Wanted) -> str:
    if wanted.passes_over(entry.name, entry.path):
        return ""
    if entry.is_dir(follow_symlinks=False):
        return entry.name + "/"
    if entry.is_symlink() and entry.is_dir():
        if wanted.max_depth != 0:
            wanted.noticed.passed_over(LINKED_FOLDERS, entry.path)
        return ""
    if entry.is_symlink() or entry.is_file():
        return entry.name
    wanted.noticed.passed_over(NOT_REGULAR, entry.path)  # reading a pipe could wait for ever
    return ""


def _walk_bucket(protocol: str, bucket_and_prefix: str, wanted: Wanted) -> Iterator[Found]:
    """Yield the wanted objects below a prefix through obstore, page by page."""
    bucket, _, prefix = bucket_and_prefix.partition("/")
    prefix = prefix.rstrip("/")
    store = open_bucket(protocol, bucket)
    own = _OwnObjects(store, prefix)
    for entry in _objects(store, protocol, bucket, prefix, wanted.noticed):
        key = entry["path"]
        uri = f"{protocol}://{bucket}/{key}"
        if wanted.passes_over(key[len(prefix) :], uri):
            continue
        if wanted.lists(uri):
            tree = own.tree_of(key)
            if tree is None:
                yield Found(uri, entry["size"], (entry["e_tag"] or "").strip('"') or None)
            else:
                wanted.noticed.passed_over(tree, uri)


class _OwnObjects:
    """Tells which objects redepth wrote, of a listing that reaches a tree's marker last.

    Exported maps lie two levels below the marker of their export, pictures of a report three below
    that of their labels: one request a folder that holds folders of pictures.
    """

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._start = prefix
        self._known: tuple[str, str | None] = ("", None)

    def tree_of(self, key: str) -> str | None:
        """Return what the tree is called that an object is redepth's own in, None if in none."""
        *folders, _ = key.split("/")
        marker, depth = ("dataset.json", 2) if "reports" in folders[-2:-1] else ("export.json", 1)
        root = "/".join(folders[: len(folders) - depth])
        if len(folders) < depth or len(root) < len(self._start):
            return None
        asked = f"{root}/{marker}".lstrip("/")
        if self._known[0] != asked:
            self._known = (asked, own_tree([marker], lambda _, size: self._read(asked)))
        return self._known[1]

    def _read(self, key: str) -> bytes:
        return bytes(self._store.get(key).bytes())


def _objects(
    store: ObjectStore, protocol: str, bucket: str, prefix: str, noticed: Noticed
) -> Iterator[ObjectMeta | dict[str, Any]]:
    """Yield the objects below a prefix; obstore has no way around a key with "//" in it."""
    from obstore.exceptions import InvalidPathError

    last = ""
    try:
        for page in store.list(prefix or None, chunk_size=_KEYS_PER_PAGE):
            for entry in page:
                last = entry["path"]
                yield entry
    except InvalidPathError as error:
        if protocol == "s3":
            yield from _s3_objects(bucket, prefix, last)
            return
        place = f"{protocol}://{bucket}/{prefix}"
        noticed.fault(
            place,
            f"objects behind {last or 'its start'} are not listed ({in_words(error)}); rename the "
            "object, or name the images in a list file",
        )


def _s3_objects(bucket: str, prefix: str, after: str) -> Iterator[dict[str, Any]]:
    """Yield the objects behind a key as s3fs lists them: slower, and any key will do."""
    filesystem, _ = open_source(f"s3://{bucket}")
    asked: dict[str, Any] = {"Bucket": bucket, "StartAfter": after}
    if prefix:
        asked["Prefix"] = f"{prefix}/"
    while True:
        page = filesystem.call_s3("list_objects_v2", **asked)
        for entry in page.get("Contents", ()):
            yield {"path": entry["Key"], "size": entry["Size"], "e_tag": entry.get("ETag")}
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


def _walk_archive(start: str, wanted: Wanted) -> Iterator[Found]:
    """Yield the wanted files of a zip or a tar, below the folder that the uri names."""
    head, _, place = start.partition("::")
    protocol, _, folder = head.partition("://")
    folder = f"{folder.strip('/')}/".removeprefix("/")
    files = archive_files(start, wanted.noticed)
    own = own_folders((member_key(file.name) for file in files), partial(_start_in, start))
    for name, size_bytes, version in files:
        key = member_key(name)
        below = key.removeprefix(folder)
        is_deeper = wanted.max_depth is not None and below.count("/") > wanted.max_depth
        if not key.startswith(folder) or is_deeper:
            continue
        uri = f"{protocol}://{name}::{place}"
        if wanted.passes_over(below, uri) or not wanted.lists(uri):
            continue
        tree = own_kind(key, own) if own else None
        if tree is None:
            yield Found(uri, size_bytes, version)
        else:
            wanted.noticed.passed_over(tree, uri)


def _start_in(start: str, path: str, max_bytes: int) -> bytes:
    """Read a file of the archive that is walked; b"" where it is larger."""
    protocol, _, place = start.partition("::")
    try:
        uri = f"{protocol.partition('://')[0]}://{path}::{place}"
        return read_member(uri, ANYTHING, max_bytes, "")
    except ImageRejected:
        return b""


def _walk_filesystem(start: str, wanted: Wanted) -> Iterator[Found]:
    """Yield the wanted files of any other fsspec filesystem, folder by folder.

    Uris are `start` with the rest of the path in it, so that a chained URL stays chained.
    """
    filesystem, root = open_source(start)
    head, separator, chained = start.partition("::")
    head = head if head.endswith("/") else head + "/"

    def uri_of(name: str) -> str:
        return f"{head}{name[len(root) :].strip('/')}{separator}{chained}"

    for info in _walk_listing(filesystem, root, uri_of, wanted):
        uri = uri_of(info["name"])
        if wanted.lists(uri):
            yield _from_info(uri, info)


def _walk_listing(
    filesystem: Any, folder: str, uri_of: Callable[[str], str], wanted: Wanted
) -> Iterator[Mapping[str, Any]]:
    listing = sorted(filesystem.ls(folder, detail=True), key=_listing_key)
    names = {str(info["name"]).rpartition("/")[2]: info["name"] for info in listing}
    own = own_tree(names, lambda name, size: bytes(filesystem.cat_file(names[name], end=size)))
    if own is not None:
        wanted.noticed.passed_over(own, uri_of(folder))
        return
    for info in listing:
        path = info["name"].rstrip("/")
        if wanted.passes_over(path.rpartition("/")[2], uri_of(path)):
            continue
        if info["type"] != "directory":
            yield info
        elif wanted.max_depth != 0:
            below = _walk_listing(filesystem, path, uri_of, wanted.below())
            yield from _told(uri_of(path), below, wanted.noticed)


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
