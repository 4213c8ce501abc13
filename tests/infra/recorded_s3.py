"""As much of an S3 server as redepth asks for, which notes what permission each request needs."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs, unquote, urlsplit

MOMENT = "2026-01-01T00:00:00.000Z"
# What a request needs, by its method and what makes its query another operation:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
OF_BUCKET = {
    ("GET", "list-type"): "s3:ListBucket",
    ("GET", "uploads"): "s3:ListBucketMultipartUploads",
    ("HEAD", ""): "s3:ListBucket",
}
OF_OBJECT = {
    ("GET", ""): "s3:GetObject",
    ("HEAD", ""): "s3:GetObject",
    ("PUT", ""): "s3:PutObject",
    ("POST", "uploads"): "s3:PutObject",
    ("DELETE", "uploadId"): "s3:AbortMultipartUpload",
    ("DELETE", ""): "s3:DeleteObject",
}
OPERATIONS = ("list-type", "uploads", "delete", "partNumber", "uploadId", "policy", "acl")


@dataclass
class Bucket:
    """What lies in the bucket, and which permissions were needed so far."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, str] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.bucket = Bucket(f"http://127.0.0.1:{self.server_port}")


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Answer every method, those too that redepth does not use."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        self.query = {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        self.key = unquote(parts.path).strip("/").partition("/")[2]
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        operation = next((name for name in OPERATIONS if name in self.query), "")
        known = OF_OBJECT if self.key else OF_BUCKET
        action = known.get((self.command, operation))
        if action is None:
            self.server.bucket.unknown.append(f"{self.command} {self.path}")
            self._send(501)
            return
        self.server.bucket.needed.add(action)
        getattr(self, f"_{self.command}_{operation.replace('-', '_')}".rstrip("_").lower())()

    def _get_list_type(self) -> None:
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter")
        names, folders = [], set()
        for key in sorted(self.server.bucket.objects):
            below = key.removeprefix(prefix) if key.startswith(prefix) else None
            if below is not None and delimiter and delimiter in below:
                folders.add(prefix + below.partition(delimiter)[0] + delimiter)
            elif below is not None:
                names.append(key)
        found = "".join(
            f"<Contents><Key>{key}</Key><LastModified>{MOMENT}</LastModified>"
            f"<ETag>{self._tag(key)}</ETag><Size>{len(self.server.bucket.objects[key])}</Size>"
            "</Contents>"
            for key in names
        )
        found += "".join(f"<CommonPrefixes><Prefix>{f}</Prefix></CommonPrefixes>" for f in folders)
        self._send(
            200,
            f"<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>"
            f"<KeyCount>{len(names)}</KeyCount>{found}</ListBucketResult>",
        )

    def _get_uploads(self) -> None:
        found = "".join(
            f"<Upload><Key>{key}</Key><UploadId>{number}</UploadId>"
            f"<Initiated>{MOMENT}</Initiated></Upload>"
            for number, key in self.server.bucket.uploads.items()
        )
        self._send(200, f"<ListMultipartUploadsResult>{found}</ListMultipartUploadsResult>")

    def _get(self) -> None:
        content = self.server.bucket.objects.get(self.key)
        if content is None:
            self._send(
                404, "" if self.command == "HEAD" else "<Error><Code>NoSuchKey</Code></Error>"
            )
            return
        code, more = 200, {"ETag": self._tag(self.key)}
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes="):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(0, len(content) - int(last))
            stop = int(last) + 1 if first and last else len(content)
            more["Content-Range"] = f"bytes {start}-{min(stop, len(content)) - 1}/{len(content)}"
            code, content = 206, content[start:stop]
        self._send(code, content, more)

    def _head(self) -> None:
        self._get() if self.key else self._send(200)

    def _put(self) -> None:
        if self.headers.get("If-None-Match") == "*" and self.key in self.server.bucket.objects:
            self._send(412, "<Error><Code>PreconditionFailed</Code></Error>")
            return
        self.server.bucket.objects[self.key] = self.body
        self._send(200, "", {"ETag": self._tag(self.key)})

    def _post_uploads(self) -> None:
        number = f"upload-{next(self.server.bucket.numbers)}"
        self.server.bucket.uploads[number] = self.key
        self._send(
            200,
            "<InitiateMultipartUploadResult><Bucket>b</Bucket>"
            f"<Key>{self.key}</Key><UploadId>{number}</UploadId></InitiateMultipartUploadResult>",
        )

    def _delete_uploadid(self) -> None:
        del self.server.bucket.uploads[self.query["uploadId"]]
        self._send(204)

    def _delete(self) -> None:
        self.server.bucket.objects.pop(self.key, None)
        self._send(204)

    def _tag(self, key: str) -> str:
        content = self.server.bucket.objects[key]
        return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'

    def _send(
        self, code: int, content: str | bytes = "", more: dict[str, str] | None = None
    ) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.send_response(code)
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.send_header("Last-Modified", formatdate(0, usegmt=True))
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def recorded_s3() -> Iterator[Bucket]:
    """Serve an empty bucket, whatever it is called, on the loopback interface."""
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
