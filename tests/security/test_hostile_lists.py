"""A list from a stranger, labelled by the real command line: each name ends in a recorded row."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from PIL import Image

from redepth.images.collection import canonical_uri
from redepth.store.reader import open_labels
from redepth.types import Outcome

pytestmark = [pytest.mark.security, pytest.mark.timeout(600)]

REDEPTH = Path(sys.executable).with_name("redepth")
COARSE = (
    "--recipe=mini-coarse",
    "--set=labels.coarse.size_px=56",
    "--set=labels.coarse.weights.seed=0",
    "--actors=1",
)
MAX_BYTES = 20_000_000
LARGEST_ACTOR_BYTES = 1_000_000_000


class HostileServer(ThreadingHTTPServer):
    """Remembers what it was asked for, and where `/away` sends whoever asks."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hostile)
        self.asked: list[str] = []
        self.private_port = self.server_port


class Hostile(BaseHTTPRequestHandler):
    """`/secret` is a picture, `/endless` has no end, `/packed` is of 2 GB, `/away` redirects."""

    server: HostileServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        with suppress(OSError):
            getattr(self, self.path.strip("/"))()

    def secret(self) -> None:
        content = io.BytesIO()
        Image.new("RGB", (64, 48)).save(content, "PNG")
        self._send(content.getvalue())

    def packed(self) -> None:
        self._send(gzip.compress(bytes(2_000_000_000), 1), "gzip")

    def away(self) -> None:
        self.send_response(302)
        self.send_header("Location", f"http://127.0.0.1:{self.server.private_port}/secret")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(bytes(2**20))

    def _send(self, content: bytes, packed: str = "identity") -> None:
        self.send_response(200)
        self.send_header("Content-Encoding", packed)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[tuple[HostileServer, HostileServer]]:
    """Yield a server that the user allows, and one of the private network that nobody named."""
    allowed, private = pair = HostileServer(), HostileServer()
    allowed.private_port = private.server_port
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in pair]
    for thread in threads:
        thread.start()
    yield pair
    for server, thread in zip(pair, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("num_decoders", [0, 1])
def test_a_hostile_list_costs_rows_and_nothing_else(
    tmp_path: Path, servers: tuple[HostileServer, HostileServer], num_decoders: int
) -> None:
    allowed, private = servers
    photos, attic, out = tmp_path / "photos", tmp_path / "attic", tmp_path / "out"
    for folder in (photos, attic):
        folder.mkdir()
        Image.new("RGB", (64, 48)).save(folder / "good.png")
    (photos / "link.png").symlink_to(attic / "good.png")
    os.mkfifo(photos / "pipe.png")
    with (photos / "sparse.png").open("wb") as file:
        file.truncate(3_000_000_000)
    host = f"http://127.0.0.1:{allowed.server_port}"
    reasons = {
        "good.png": None,
        f"{host}/secret": None,
        "../attic/good.png": "a list may name",
        "link.png": "a list may name",
        "/dev/zero": "a list may name",
        "file:///etc/passwd": "a list may name",
        "http://169.254.169.254/latest/meta-data": "a list may name",
        f"http://127.0.0.1:{private.server_port}/secret": "a list may name",
        f"simplecache::http://127.0.0.1:{private.server_port}/secret": "a list may name",
        f"tar://a.png::http://127.0.0.1:{private.server_port}/secret": "a list may name",
        f"{host}/away": "in a private network",
        f"{host}/endless": "max_bytes",
        f"{host}/packed": "max_bytes",
        "pipe.png": "a pipe",
        "sparse.png": "max_",
    }
    (photos / "list.txt").write_text("\n".join(reasons), encoding="utf-8")
    command = [REDEPTH, "label", photos / "list.txt", "--out", out, *COARSE, "--allow", host,
               f"--set=labels.decoding.max_bytes={MAX_BYTES}",
               f"--set=run.actors.num_decoders={num_decoders}"]  # fmt: skip
    running = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    largest: list[int] = []
    watch = threading.Thread(target=_watch_actors, args=(running, largest))
    watch.start()
    said, _ = running.communicate(timeout=500)
    watch.join()

    assert running.returncode == 0, said
    assert private.asked == []
    rows = {row.uri: row for row in open_labels(str(out)).troubles(100)}
    assert open_labels(str(out)).count_outcomes()[Outcome.REJECTED] == len(reasons) - 2
    for name, reason in reasons.items():
        uri = canonical_uri(name, str(photos))
        if reason is not None:
            assert reason in str(rows[uri].reason), (uri, rows[uri].reason)
        else:
            assert uri not in rows
    assert max(largest) < LARGEST_ACTOR_BYTES


def _children(pid: int) -> list[psutil.Process]:
    """Return a run's processes; none where the run, or one of them, ends while they are counted."""
    with suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def _watch_actors(running: subprocess.Popen[str], largest: list[int]) -> None:
    """Note the memory of the largest process of the run, again and again."""
    while running.poll() is None:
        for child in _children(running.pid):
            with suppress(psutil.Error):
                line = " ".join(child.cmdline())
                if any(name in line for name in ("LabelActor", "PhotographDecoder")):
                    largest.append(child.memory_info().rss)
        threading.Event().wait(0.1)
