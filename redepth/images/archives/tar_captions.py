"""Captions in a tar: a text, or a JSON with `caption`, that is called as its photograph is.

Of `a/my.photo.jpg` that is `a/my.photo.txt`, else `a/my.txt` (WebDataset: a sample is called by
what stands before the first dot), else `a/my.photo.json` or `a/my.json` (img2dataset). They may
stand anywhere in the tar.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from redepth.errors import ConfigError, ImageRejected
from redepth.images.archives.tar_contents import TarContents, member_key
from redepth.images.archives.tar_walk import Kind, Member
from redepth.images.lists.rows import LONGEST_TEXT, caption_of

_TEXT = ".txt"
_JSON = ".json"
_MAX_JSON_BYTES = 2**16  # a larger one holds outlines or boxes, and no caption
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class TarCaptions:
    """The texts of a tar, read while its headers are; memory: the captions themselves."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._texts: dict[str, bytes] = {}
        self._used: set[str] = set()
        self.num_bytes = 0

    def note(self, member: Member) -> None:
        """Read a member if it may be a caption: it lies before the file's next header."""
        if member.kind is Kind.FILE and _may_be_read(member):
            content = self._read(member)
            self._texts[member_key(member.name)] = content
            self.num_bytes += len(content)

    def is_used(self, key: str) -> bool:
        """Whether a member belongs to a photograph that was asked for."""
        return key in self._used

    def caption_of(self, key: str, contents: TarContents) -> str | None:
        """Return the caption of the photograph with a key, None where it has none.

        Raises:
            ImageRejected: it has one that cannot be read.
        """
        names = [name for name in _names(key) if contents.get(name) is not None]
        self._used.update(names)
        captions = (self._caption(name, contents) for name in names)
        return next((caption for caption in captions if caption), None)

    def beginning_of(self, contents: TarContents) -> Callable[[str, int], bytes]:
        """Return what reads up to so many bytes of the file of a key."""

        def read(key: str, max_bytes: int) -> bytes:
            member = contents.get(key)
            if member is None or member.kind is not Kind.FILE:
                return b""
            return self._read(member._replace(size_bytes=min(member.size_bytes, max_bytes)))

        return read

    def _caption(self, key: str, contents: TarContents) -> str | None:
        content = self._content(key, contents)
        if content is None:
            return None
        caption = _caption_in_json(content) if key.endswith(_JSON) else _decoded(content)
        try:
            return caption_of(key, caption)
        except ConfigError as error:
            raise ImageRejected(f"its caption {error}") from error

    def _content(self, key: str, contents: TarContents) -> bytes | None:
        member = contents.get(key)
        if member is None or key in self._texts:
            return self._texts.get(key)
        try:
            member = contents.resolved(member)
        except ImageRejected as error:
            raise ImageRejected(f"its caption {key} {error}") from error
        if key.endswith(_JSON):
            return self._read(member) if member.size_bytes <= _MAX_JSON_BYTES else None
        if member.size_bytes > LONGEST_TEXT or not member.is_whole:
            raise ImageRejected(
                f"its caption {key} has {member.size_bytes:,} bytes, expected a whole text of "
                f"{LONGEST_TEXT:,} at most; shorten it, or take it out of the tar"
            )
        return self._read(member)

    def _read(self, member: Member) -> bytes:
        self._file.seek(member.data_byte)
        return bytes(self._file.read(member.size_bytes))


def _may_be_read(member: Member) -> bool:
    if not member.is_whole:
        return False
    if member.name.endswith(_TEXT):
        return member.size_bytes <= LONGEST_TEXT
    return member.name.endswith(_JSON) and member.size_bytes <= _MAX_JSON_BYTES


def _names(key: str) -> list[str]:
    """Return the keys of the members that may be a photograph's caption, best first."""
    folder, slash, name = key.rpartition("/")
    stems = dict.fromkeys((name.rpartition(".")[0], name.partition(".")[0]))
    return [f"{folder}{slash}{stem}{suffix}" for suffix in (_TEXT, _JSON) for stem in stems]


def _caption_in_json(content: bytes) -> object:
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return record.get("caption") if isinstance(record, dict) else None


def _decoded(content: bytes) -> str:
    """Return a text: UTF-16 where it says so (Windows' Notepad), else UTF-8."""
    encoding = "utf-16" if content.startswith(_UTF_16) else "utf-8-sig"
    return content.decode(encoding, "replace")
