"""Files that never end, tell a wrong size, or are no files: read as far as allowed."""

from __future__ import annotations

import gzip
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import fsspec
import pyarrow as pa
import pytest

from redepth.config import Decoding
from redepth.errors import ImageRejected
from redepth.images.decode import read_image
from redepth.images.reading import read_regular
from redepth.types import ImageRef

SMALL = Decoding(max_bytes=100_000)
TOO_LARGE = r"more than 0 MB.*labels\.decoding\.max_bytes"


def test_a_file_at_the_limit_is_read_and_one_beyond_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 1000)
    assert read_regular(path, 1000, "here") == b"x" * 1000
    with pytest.raises(ImageRejected, match=r"as much as is read of one \(here\)"):
        read_regular(path, 999, "here")


def test_a_sparse_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(ImageRejected, match=r"labels\.decoding\.max_bytes"):
        read_image(ImageRef("a", str(path)), Decoding())


def test_a_file_that_says_it_is_empty_is_counted() -> None:
    """Files of the kernel have a size of 0 and some content."""
    with pytest.raises(ImageRejected, match="as much as is read"):
        read_regular("/proc/self/maps", 10, "here")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A pipe would wait for a writer, a device never ends."""
    os.mkfifo(tmp_path / "pipe.jpg")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket.jpg"))
    kinds = {
        str(tmp_path / "pipe.jpg"): "a pipe",
        "/dev/zero": "a device",
        str(tmp_path): "a folder",
    }
    for path, kind in kinds.items():
        with pytest.raises(ImageRejected, match=f"is {kind}: only regular files are read"):
            read_image(ImageRef("a", path), Decoding())
    with pytest.raises(ImageRejected):  # the kernel opens no socket
        read_image(ImageRef("a", str(tmp_path / "socket.jpg")), Decoding())
    server.close()


def test_no_more_of_an_object_is_read_than_tells_that_it_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/large/a.jpg", bytes(1_000_000))
    real, got = type(memory).cat_file, []

    def cat_file(self: object, *args: object, **options: object) -> bytes:
        got.append(len(content := real(self, *args, **options)))
        return bytes(content)

    monkeypatch.setattr(type(memory), "cat_file", cat_file)
    with pytest.raises(ImageRejected, match=TOO_LARGE):
        read_image(ImageRef("a", "memory://large/a.jpg"), SMALL)
    assert got == [SMALL.max_bytes + 1]


class EndlessServer(ThreadingHTTPServer):
    """Counts the bytes that it sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Endless)
        self.num_sent = 0


class Endless(BaseHTTPRequestHandler):
    """Sends zeros until nobody listens any more; `/packed`: of 1 GB, in 1 MB."""

    server: EndlessServer

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/packed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        packed = gzip.compress(bytes(1_000_000_000), 1) if self.path == "/packed" else b""
        try:
            self.wfile.write(packed)
            while not packed:
                self.wfile.write(bytes(65536))
                self.server.num_sent += 65536
        except OSError:
            pass

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endless() -> Iterator[EndlessServer]:
    server = EndlessServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("name", ["endless", "packed"])
def test_an_endless_body_is_read_to_the_limit(endless: EndlessServer, name: str) -> None:
    uri = f"http://127.0.0.1:{endless.server_port}/{name}"
    with pytest.raises(ImageRejected, match=r"more than 10 MB.*max_bytes"):
        read_image(ImageRef("a", uri), Decoding(max_bytes=10_000_000))
    assert endless.num_sent < 40_000_000, "what the kernel holds besides"


def test_an_endless_body_within_an_archive(endless: EndlessServer) -> None:
    """The server takes no ranges and gives no size."""
    uri = f"tar://a.jpg::http://127.0.0.1:{endless.server_port}/a.tar"
    with pytest.raises(ImageRejected):
        read_image(ImageRef("a", uri), Decoding(max_bytes=10_000_000))
    assert endless.num_sent < 40_000_000


def test_a_file_that_does_not_fit_into_memory_is_no_trouble_of_the_storage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise pa.ArrowMemoryError("malloc of size 999 failed")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", fail)
    with pytest.raises(ImageRejected, match="does not fit into memory"):
        read_image(ImageRef("a", "memory://a.png"), Decoding())


def test_an_empty_object_is_called_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 refuses any range of one."""

    class Refused(OSError):
        response: ClassVar = {"Error": {"Code": "InvalidRange"}}

    def refuse(*_: object, **__: object) -> bytes:
        raise Refused

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", refuse)
    with pytest.raises(ImageRejected, match="the file is empty"):
        read_image(ImageRef("a", "memory://a.png"), Decoding())
