"""Bytes from outside, never more than a stated number, counted while they are read.

What a header, a listing or a server says of a size is only good for refusing early: what is read is
counted. Of a local disk only regular files are read: a pipe or a device may never end.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import IO, Any

from redepth.errors import ImageRejected

BLOCK_BYTES = 2**20

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: str | Path) -> io.FileIO:
    """Open a local file for reading, without waiting for whoever writes into a pipe.

    Raises:
        ImageRejected: it is a folder, a pipe, a socket or a device.
        OSError: as `open`.
    """
    # Without O_NONBLOCK, opening a pipe waits for a writer; of a regular file it changes nothing.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise ImageRejected(f"{path} is a socket: only regular files are read") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "no regular file")
        raise ImageRejected(f"{path} is {kind}: only regular files are read")
    return io.FileIO(descriptor, "rb")


def read_regular(path: str | Path, max_bytes: int, setting: str) -> bytes:
    """Read a local file whole.

    Args:
        max_bytes: a larger file is refused.
        setting: what the limit is called where it can be changed.

    Raises:
        ImageRejected: it has more bytes, or is no regular file.
        OSError: as `open`.
    """
    with open_regular(path) as file:
        require_size(os.fstat(file.fileno()).st_size, max_bytes, setting)
        return read_all(file, max_bytes, setting)


def read_all(file: IO[bytes] | Any, max_bytes: int, setting: str) -> bytes:
    """Read an open file to its end, block by block.

    Raises:
        ImageRejected: it has more than `max_bytes`.
    """
    content = io.BytesIO()  # gives its bytes away without another copy of them
    while block := file.read(BLOCK_BYTES):
        content.write(block)
        require_size(content.tell(), max_bytes, setting)
    return content.getvalue()


def require_size(size_bytes: int, max_bytes: int, setting: str) -> None:
    """Refuse more bytes than are allowed.

    Raises:
        ImageRejected: says both numbers and the setting.
    """
    if size_bytes > max_bytes:
        raise ImageRejected(
            f"the file has more than {max_bytes / 1e6:,.0f} MB, which is as much as is read of one "
            f"({setting}); make it smaller, or raise the limit"
        )
