"""The objects below an output's root, on anything fsspec opens, each written whole or not at all.

Everything is written by `Objects.put` or `Objects.put_file`. Never by `with fs.open(url, "wb")`:
on an object store that commits a truncated object when the body raises.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fsspec.implementations.local import LocalFileSystem

from redepth.errors import ConfigError, IntegrityError
from redepth.filesystems import open_filesystem
from redepth.redaction import shown
from redepth.storage_errors import Fault, classify, in_words, server_code, storage_errors
from redepth.store.url_kinds import require_kind

_OBJECTS_PER_READ = 256
_PAGE = re.compile(rb"\s*<(!doctype|html|head|\?xml)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects below one root; a name is a path relative to it, with forward slashes.

    Every method raises ConfigError for what the user has to fix (bucket, credentials, endpoint,
    rights, a full disk) and TransientError for what may go through later. Those that read raise
    IntegrityError for what is no plain file, and for an object larger than the caller takes: an
    output may come from a stranger.
    """

    url: str
    fs: Any
    path: str

    def put(self, name: str, content: bytes, conditions: Mapping[str, str] | None = None) -> None:
        """Write one object atomically: a reader sees the old content, or the new, or nothing.

        Args:
            conditions: on S3 alone, further parameters of PutObject ("IfNoneMatch", "IfMatch"); see
                `redepth.store.conditional_puts`.
        """
        with self._writing():
            if self.is_local:
                with _replacing(Path(self.full_path(name))) as file:
                    file.write(content)
            else:
                self.fs.pipe_file(self.full_path(name), content, **(conditions or {}))

    def put_file(self, name: str, source: Path) -> None:
        """Write one object atomically from a local file that need not fit into memory."""
        with self._writing():
            if self.is_local:
                with _replacing(Path(self.full_path(name))) as file, source.open("rb") as content:
                    shutil.copyfileobj(content, file)
            else:
                self.fs.put_file(str(source), self.full_path(name))

    @contextmanager
    def _writing(self, *, missing_is_wrong: bool = True) -> Iterator[None]:
        """Refuse to write where fsspec only reads."""
        with storage_errors(self.url, missing_is_wrong=missing_is_wrong):
            try:
                if self.is_archive or self.is_web:
                    raise NotImplementedError
                yield
            except NotImplementedError as error:
                raise ConfigError(
                    f"{shown(self.url)} can be read and not be written to; give a folder, "
                    "s3://bucket/prefix, or another storage that fsspec writes to"
                ) from error

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """Read one object. Raises FileNotFoundError if there is none.

        Args:
            max_bytes: what it may have; of a larger one no more is read.
        """
        with storage_errors(self.url):
            if max_bytes is not None:
                (content,) = self._read_beginnings([name], max_bytes + 1)
                return self._within(name, content, max_bytes)
            self._require_plain_file(name)
            return self._own(name, self.fs.cat_file(self.full_path(name)))

    def read_range(self, name: str, start: int, stop: int | None) -> bytes:
        """Read bytes of one object: start < 0 counts from its end, and `stop` is None then.

        Raises:
            FileNotFoundError: as `read`.
            ConfigError: the server sends the whole object where a part of it is asked for.
        """
        with storage_errors(self.url):
            self._require_plain_file(name)
            content = bytes(self.fs.cat_file(self.full_path(name), start=start, end=stop))
        num_bytes = -start if stop is None else stop - start
        if len(content) > num_bytes > 0:
            self._own(name, content)
            raise ConfigError(
                f"{shown(self.url)}: the server sent {len(content):,} bytes of {name} where "
                f"{num_bytes:,} were asked for: it does not answer requests for a part of a file "
                "(as Python's http.server does not). The labels are as they were: copy their "
                "folder to a disk or a bucket, or serve it with nginx, Caddy or rclone serve http"
            )
        return content

    def read_many(self, names: Sequence[str], max_bytes: int) -> Iterator[tuple[str, bytes]]:
        """Read small objects in the order given, many at a time where the storage can."""
        for start in range(0, len(names), _OBJECTS_PER_READ):
            some = names[start : start + _OBJECTS_PER_READ]
            with storage_errors(self.url):
                contents = self._read_beginnings(some, max_bytes + 1)
            for name, content in zip(some, contents, strict=True):
                yield name, self._within(name, content, max_bytes)

    def _read_beginnings(self, names: Sequence[str], num_bytes: int) -> Sequence[bytes]:
        for name in names:
            self._require_plain_file(name)
        paths = [self.full_path(name) for name in names]
        contents = self.fs.cat_ranges(paths, [0] * len(paths), [num_bytes] * len(paths))
        return [_content(one) for one in contents]

    def _own(self, name: str, content: bytes) -> bytes:
        """Refuse a page that a web server sends in an object's place."""
        if self.is_web and _PAGE.match(content[:200]):
            raise ConfigError(
                f"{shown(self.url)}/{name}: the server answered with a web page, and not with what "
                "redepth wrote: is this the labels' address, and does it ask for a login? The "
                "address must serve the labels' folder itself"
            )
        return bytes(content)

    def _within(self, name: str, content: bytes, max_bytes: int) -> bytes:
        self._own(name, content)
        if len(content) > max_bytes:
            raise IntegrityError(
                f"{self.url}/{name} has more than the {max_bytes} bytes that redepth writes there: "
                "it was not written by redepth, do not use this output"
            )
        return bytes(content)

    def _require_plain_file(self, name: str) -> None:
        """Refuse a pipe or a device on a local disk: reading it need never end."""
        if self.is_local and not stat.S_ISREG(Path(self.full_path(name)).stat().st_mode):
            raise IntegrityError(
                f"{self.url}/{name} is no file, where redepth writes files alone: this output was "
                "not written by redepth, do not use it"
            )

    def tag(self, name: str) -> str:
        """Return an object's ETag. Raises FileNotFoundError if there is none."""
        with storage_errors(self.url):
            return str(self.fs.info(self.full_path(name))["ETag"])

    def exists(self, name: str) -> bool:
        # Not fs.exists: on S3 that says False for a bucket that is not there.
        with storage_errors(self.url):
            try:
                self.fs.info(self.full_path(name))
            except FileNotFoundError as error:
                if classify(error) is Fault.MISSING:
                    return False
                raise
            return True

    def list(self, folder: str, suffix: str) -> list[str]:
        """Name the objects of a folder that end in `suffix`, sorted, as they are now."""
        names = self.list_all(folder)
        return [f"{folder}/{name}" for name in names if _is_ours(name, suffix)]

    def list_all(self, folder: str) -> Sequence[str]:
        """Name all there is in a folder, hidden files and folders too, sorted; "" is the root."""
        own = self.full_path(folder).rstrip("/")  # a bucket may hold a mark of the folder itself
        paths = {str(path).rstrip("/") for path in self._ls(folder, detail=False)} - {own}
        names = {path.rsplit("/", 1)[-1] for path in paths}
        return sorted(name for name in names if not name.startswith("?"))  # a web page's sorting

    def folders(self, folder: str) -> Sequence[str]:
        """Name the folders in a folder, sorted."""
        infos = self._ls(folder, detail=True)
        found = [info["name"].rstrip("/") for info in infos if info["type"] == "directory"]
        return sorted(path.rsplit("/", 1)[-1] for path in found)

    def list_tagged(self, folder: str, suffix: str) -> dict[str, str]:
        """Return the same names, sorted, each with a tag that changes when the object does.

        The tag is the ETag, or size, time and inode; "" where the storage tells neither.
        """
        found = {}
        for info in self._ls(folder, detail=True):
            name = info["name"].rsplit("/", 1)[-1]
            if _is_ours(name, suffix):
                found[f"{folder}/{name}"] = _tag(info)
        return dict(sorted(found.items()))

    def _ls(self, folder: str, *, detail: bool) -> Any:
        with storage_errors(self.url):
            try:
                return self.fs.ls(self.full_path(folder), detail=detail)
            except FileNotFoundError as error:
                if classify(error) is Fault.MISSING:
                    return []
                raise

    def delete(self, name: str) -> None:
        """Remove one object; on a local disk none that a link has outside the root."""
        with self._writing(missing_is_wrong=False):
            self._require_below(name)
            self.fs.rm_file(self.full_path(name))

    def _require_below(self, name: str) -> None:
        path = Path(self.full_path(name))
        if self.is_local and not path.parent.resolve().is_relative_to(Path(self.path).resolve()):
            raise IntegrityError(
                f"{self.url}/{name} lies outside the output, by a link; nothing of it was removed"
            )

    def delete_folders(self, folder: str) -> None:
        """Remove the empty folders at and below one; only local storage has such things."""
        path = Path(self.full_path(folder))
        if self.is_local and path.is_dir():
            for below in sorted((p for p in path.rglob("*") if p.is_dir()), reverse=True):
                below.rmdir()
            path.rmdir()

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """Open one object for reading in parts."""
        with storage_errors(self.url):
            self._require_plain_file(name)
            with self.fs.open(self.full_path(name), "rb") as file:
                yield file

    @property
    def is_local(self) -> bool:
        return isinstance(self.fs, LocalFileSystem)

    @property
    def is_archive(self) -> bool:
        """Whether the root lies in a file that holds others, where no path begins with a slash."""
        return "zip" in self.fs.protocol

    @property
    def is_web(self) -> bool:
        return "http" in self.fs.protocol

    @property
    def is_s3(self) -> bool:
        return "s3" in self.fs.protocol

    def full_path(self, name: str) -> str:
        """Return what the filesystem calls this object; "" is the root."""
        return f"{self.path}/{name}".strip("/" if self.is_archive else "")

    def full_url(self, name: str) -> str:
        """Return what another program would open: a plain path where the root is local."""
        return self.full_path(name) if self.is_local else f"{self.url}/{name}"


def open_objects(url: str) -> Objects:
    """Open a root by path or fsspec URL; touches nothing yet.

    Raises:
        ConfigError: no such protocol, its package is not installed, a kind of URL that labels are
            not read from (see `url_kinds`), or an archive that is none.
    """
    require_kind(url)
    with storage_errors(url, missing_is_wrong=True):
        try:
            fs, path = open_filesystem(url)
        except (ValueError, TypeError, ImportError, zipfile.BadZipFile) as error:
            raise ConfigError(
                f"cannot open {shown(url)}: {in_words(error)}; expected a folder, "
                "s3://bucket/prefix, or another URL that fsspec knows"
            ) from error
    return Objects(url.rstrip("/"), fs, path.rstrip("/"))


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    """Yield a new file beside `target` that takes its place at the end, or vanishes on an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its files are readable by their owner alone.
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _tag(info: Mapping[str, Any]) -> str:
    if info.get("ETag"):
        return str(info["ETag"]).strip('"')
    when = info.get("mtime", info.get("created"))
    return "" if when is None else f"{info['size']} {when} {info.get('ino', 0)}"


def _content(read: bytes | Exception) -> bytes:
    """Return what was read of an object's beginning, or raise what came instead."""
    if not isinstance(read, Exception):
        return bytes(read)
    if server_code(read) == "InvalidRange":  # S3 has no beginning of an empty object
        return b""
    raise read


def _is_ours(name: str, suffix: str) -> bool:
    return name.endswith(suffix) and not name.startswith(".")
