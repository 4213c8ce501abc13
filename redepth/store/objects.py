"""The objects below an output's root, on anything fsspec opens, each written whole or not at all.

Everything is written by `Objects.put` or `Objects.put_file`. Never by `with fs.open(url, "wb")`:
on an object store that commits a truncated object when the body raises.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fsspec.implementations.local import LocalFileSystem

from redepth.errors import ConfigError
from redepth.filesystems import open_filesystem
from redepth.storage_faults import Fault, classify, storage_errors

_OBJECTS_PER_READ = 256


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects below one root; a name is a path relative to it, with forward slashes.

    Every method raises ConfigError for what the user has to mend (bucket, credentials, endpoint,
    rights, a full disk) and TransientError for what may go through later.
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
        with storage_errors(self.url, missing_is_wrong=True):
            if self.is_local:
                with _replacing(Path(self.full_path(name))) as file:
                    file.write(content)
            else:
                self.fs.pipe_file(self.full_path(name), content, **(conditions or {}))

    def put_file(self, name: str, source: Path) -> None:
        """Write one object atomically from a local file that need not fit into memory."""
        with storage_errors(self.url, missing_is_wrong=True):
            if self.is_local:
                with _replacing(Path(self.full_path(name))) as file, source.open("rb") as content:
                    shutil.copyfileobj(content, file)
            else:
                self.fs.put_file(str(source), self.full_path(name))

    def read(self, name: str) -> bytes:
        """Read one object. Raises FileNotFoundError if there is none."""
        with storage_errors(self.url):
            return bytes(self.fs.cat_file(self.full_path(name)))

    def read_range(self, name: str, start: int, stop: int | None) -> bytes:
        """Read bytes of one object, counted as a slice is. Raises FileNotFoundError as `read`."""
        with storage_errors(self.url):
            return bytes(self.fs.cat_file(self.full_path(name), start=start, end=stop))

    def read_many(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Read small objects in the order given, many at a time where the storage can."""
        for start in range(0, len(names), _OBJECTS_PER_READ):
            some = names[start : start + _OBJECTS_PER_READ]
            with storage_errors(self.url):
                contents = self.fs.cat([self.full_path(name) for name in some])
            for name in some:
                yield name, contents[self.full_path(name)]

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
        paths = self._ls(folder, detail=False)
        names = (path.rsplit("/", 1)[-1] for path in paths)
        return sorted(f"{folder}/{name}" for name in names if _is_ours(name, suffix))

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
        """Remove one object."""
        with storage_errors(self.url):
            self.fs.rm_file(self.full_path(name))

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
        with storage_errors(self.url), self.fs.open(self.full_path(name), "rb") as file:
            yield file

    @property
    def is_local(self) -> bool:
        return isinstance(self.fs, LocalFileSystem)

    @property
    def is_s3(self) -> bool:
        return "s3" in self.fs.protocol

    def full_path(self, name: str) -> str:
        """Return what the filesystem calls this object."""
        return f"{self.path}/{name}"

    def full_url(self, name: str) -> str:
        """Return what another program would open: a plain path where the root is local."""
        return self.full_path(name) if self.is_local else f"{self.url}/{name}"


def open_objects(url: str) -> Objects:
    """Open a root by path or fsspec URL; touches nothing yet.

    Raises:
        ConfigError: no such protocol, or its package is not installed.
    """
    try:
        fs, path = open_filesystem(url)
    except (ValueError, ImportError) as error:
        raise ConfigError(
            f"cannot open {url}: {error}; expected a folder, s3://bucket/prefix, or another URL "
            "that fsspec knows"
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


def _is_ours(name: str, suffix: str) -> bool:
    return name.endswith(suffix) and not name.startswith(".")
