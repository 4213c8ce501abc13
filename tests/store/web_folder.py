"""A folder behind a web server of this machine, with and without what reading labels takes."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path


class PlainHandler(http.server.SimpleHTTPRequestHandler):
    """`python -m http.server`: lists folders, and sends whole files whatever part is asked for."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class RangeHandler(PlainHandler):
    """A server as most are: it sends the part of a file that is asked for."""

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if asked is None or not path.is_file():
            super().do_GET()
            return
        content = path.read_bytes()
        first = int(asked[1]) if asked[1] else max(len(content) - int(asked[2]), 0)
        last = min(int(asked[2]), len(content) - 1) if asked[1] and asked[2] else len(content) - 1
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(content[first : last + 1])


class UnlistedHandler(RangeHandler):
    """A server that shows no folder: an empty page in its place."""

    def do_GET(self) -> None:
        if Path(self.translate_path(self.path)).is_dir():
            self.send_page("<html><body>Welcome</body></html>")
        else:
            super().do_GET()

    def send_page(self, page: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page.encode())


class LoginHandler(UnlistedHandler):
    """A server that answers everything with a page to log in at."""

    def do_GET(self) -> None:
        self.send_page("<!DOCTYPE html>\n<html><body>Please log in</body></html>")


@contextmanager
def served(folder: Path, handler: type[PlainHandler]) -> Iterator[str]:
    """Serve a folder; yield its address."""
    bound = functools.partial(handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), bound) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
