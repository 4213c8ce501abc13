"""The text of a list, decoded line by line or block by block; no more is held than a row needs.

UTF-8, with or without a byte-order mark, and UTF-16 and UTF-32 with one; packed with gzip where the
name ends in `.gz`. Whatever is wrong with it is said with its line.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from redepth.errors import ConfigError
from redepth.images.opening import WEB, open_source
from redepth.images.uris import file_name, protocol_of

LONGEST_LINE = 2**18  # characters: room for uri, id and caption, whatever escapes they take
PACKED = ".gz"
_BLOCK = 2**16
_BYTE_ORDER_MARK = "\ufeff"
# gzip packs 1,032 bytes into one at most, and a list of names some 20. Blank lines without end are
# read for hours.
_MOST_UNPACKED = 200
_UNPACKED_UNASKED = 2**26
_ENCODINGS = (  # UTF-32's mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass
class ListText:
    """An open list.

    Attributes:
        name: its uri, for messages.
        line: number of the line that was read last.
    """

    name: str
    stored: Any
    line: int = 0
    _num_chars: int = 0
    _file: Any = field(init=False)

    def __post_init__(self) -> None:
        is_packed = file_name(self.name).endswith(PACKED)
        self._file = gzip.GzipFile(fileobj=self.stored, mode="rb") if is_packed else self.stored
        self._is_packed = is_packed

    @property
    def where(self) -> str:
        """Name the line that was read last."""
        return f"{self.name}, line {self.line}"

    def lines(self) -> Iterator[str]:
        """Yield the lines with their ends; a file without line ends is not read whole to find out.

        Raises:
            ConfigError: a line is too long, no text, or the file ends too early.
        """
        with self._said_with_its_line(), self._text(newline="") as text:
            while line := text.readline(LONGEST_LINE + 1):
                self.line += 1
                if len(line) > LONGEST_LINE:
                    raise self.too_long()
                self._require_unpacked(line)
                yield self._checked(line)

    def blocks(self) -> Iterator[str]:
        """Yield the text in pieces, line ends as line feeds; `line` is left to the caller."""
        with self._said_with_its_line(), self._text(newline=None) as text:
            number = 1
            while block := text.read(_BLOCK):
                self._require_unpacked(block)
                yield self._decoded(block, number)
                number += block.count("\n")

    def _text(self, newline: str | None) -> io.TextIOWrapper:
        file: Any = io.BufferedReader(self._file)
        begins = file.peek(4)[:4]
        encoding = next((name for mark, name in _ENCODINGS if begins.startswith(mark)), "utf-8")
        # Escapes tell of which line the bytes are that are no UTF-8.
        errors = "surrogateescape" if encoding == "utf-8" else "strict"
        return io.TextIOWrapper(file, encoding, errors, newline)

    @contextmanager
    def _said_with_its_line(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise ConfigError(
                f"{self.name}: what follows line {self.line} is no text of its encoding "
                f"({error}): save it as UTF-8"
            ) from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ConfigError(
                f"{self.name}: what follows line {self.line} cannot be unpacked ({error}): pack it "
                "again with gzip"
            ) from error

    def too_long(self) -> ConfigError:
        """Return the error of a line, or a JSON object, that no row can be."""
        return ConfigError(
            f"{self.where}: more than {LONGEST_LINE:,} characters, expected one image a line; is "
            "it a list?"
        )

    def _require_unpacked(self, text: str) -> None:
        self._num_chars += len(text)
        if self._is_packed and self._num_chars > _UNPACKED_UNASKED:
            num_stored = self.stored.tell()
            if self._num_chars > _MOST_UNPACKED * num_stored:
                raise ConfigError(
                    f"{self.where}: {num_stored:,} bytes unpack to more than "
                    f"{self._num_chars:,} characters, and no list does; unpack it if it is one"
                )

    def _checked(self, line: str) -> str:
        line = self._decoded(line, self.line)
        if "\0" in line:
            raise ConfigError(
                f"{self.where}: it has NUL characters, which no text has; save the list as UTF-8"
            )
        return line.lstrip(_BYTE_ORDER_MARK)  # of each file that was joined to another

    def _decoded(self, text: str, first_line: int) -> str:
        if text.isascii():
            return text
        try:
            text.encode()
        except UnicodeEncodeError as error:
            number = first_line + text.count("\n", 0, error.start)
            byte = ord(text[error.start]) & 0xFF
            raise ConfigError(
                f"{self.name}, line {number}: not UTF-8 text (byte {byte:#x}): save it as UTF-8"
            ) from error
        return text


@contextmanager
def opened_list(list_uri: str) -> Iterator[ListText]:
    """Open a list's text."""
    filesystem, path = open_source(list_uri)
    # From its beginning to its end in one answer: not every server gives parts of a file.
    options = {"block_size": 0} if protocol_of(list_uri) in WEB else {}
    with filesystem.open(path, "rb", **options) as stored:
        yield ListText(list_uri, stored)
