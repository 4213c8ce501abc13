"""The object-store path against a listing server of forty lines, on this machine's loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import pytest

from redepth.errors import ConfigError, TransientError
from redepth.images.collection import image_id, list_images
from redepth.images.noticed import NO_SUFFIX, SUFFIX_AND_MORE, Noticed, Notices

PAGE = 1000
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class ListingServer(ThreadingHTTPServer):
    """Holds keys, what it answers, and what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Listing)
        self.keys: list[str] = []
        self.objects: dict[str, str] = {}
        self.status = 200
        self.requests: list[dict[str, str]] = []


class Listing(BaseHTTPRequestHandler):
    """Answers ListObjectsV2 for the keys of its server, or with the server's status."""

    server: ListingServer

    def do_GET(self) -> None:
        url = urlparse(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if "list-type" not in query:
            content = self.server.objects.get(url.path.removeprefix("/bucket/"))
            self._answer(404 if content is None else 200, content or "")
            return
        self.server.requests.append(query)
        status = self.server.status
        self._answer(
            status, self._page(query) if status == 200 else "<Error><Code>X</Code></Error>"
        )

    def _page(self, query: dict[str, str]) -> str:
        after = query.get("start-after", "")
        prefix = query.get("prefix", "")
        keys = [key for key in self.server.keys if key.startswith(prefix) and key > after]
        start = int(query.get("continuation-token", "0"))
        page, is_last = keys[start : start + PAGE], start + PAGE >= len(keys)
        contents = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
            f'<ETag>"tag-{len(key)}"</ETag><Size>{len(key)}</Size></Contents>'
            for key in page
        )
        token = "" if is_last else f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>"
        return (
            f'<ListBucketResult xmlns="{NAMESPACE}"><KeyCount>{len(page)}</KeyCount>'
            f"<IsTruncated>{str(not is_last).lower()}</IsTruncated>{token}{contents}"
            "</ListBucketResult>"
        )

    def _answer(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ListingServer]:
    server = ListingServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_objects_come_with_size_and_etag(server: ListingServer) -> None:
    server.keys = ["p/.h/x.jpg", "p/a.jpg", "p/ä +#.PNG", "p/n.md", "p/s/a.jpg"]
    refs = list(list_images("s3://bucket/p/"))
    assert [ref.uri for ref in refs] == [
        "s3://bucket/p/a.jpg",
        "s3://bucket/p/ä +#.PNG",
        "s3://bucket/p/s/a.jpg",
    ]
    assert (refs[0].id, refs[0].size_bytes) == (image_id("s3://bucket/p/a.jpg"), 7)
    assert refs[0].version == "tag-7"


def test_a_glob_over_a_bucket(server: ListingServer) -> None:
    server.keys = ["p/a.jpg", "p/b.png", "p/s/a.jpg", "q/a.jpg"]
    listed = [ref.uri for ref in list_images("s3://bucket/p/**/*.jpg")]
    assert listed == ["s3://bucket/p/a.jpg", "s3://bucket/p/s/a.jpg"]
    assert server.requests[0]["prefix"] == "p/"


def test_pages_are_followed_and_a_limit_stops_asking(server: ListingServer) -> None:
    server.keys = [f"p/{number:05d}.jpg" for number in range(4 * PAGE)]
    assert len(list(list_images("s3://bucket/p", limit=10))) == 10
    assert len(server.requests) <= 2
    refs = list(list_images("s3://bucket/p"))
    assert [ref.uri for ref in refs] == [f"s3://bucket/{key}" for key in server.keys]


def test_a_key_that_obstore_cannot_name(server: ListingServer) -> None:
    server.keys = sorted([f"p/{n:05d}.jpg" for n in range(2500)] + ["p/02100//b.jpg", "p//c.jpg"])
    noticed = Noticed()
    refs = list(list_images("s3://bucket/p", noticed=noticed))
    assert [ref.uri for ref in refs] == [f"s3://bucket/{key}" for key in server.keys]
    assert {ref.version for ref in refs} == {f"tag-{len(key)}" for key in server.keys}
    assert noticed.notices() == Notices()


def test_what_is_passed_over_is_counted_by_kind(server: ListingServer) -> None:
    server.keys = sorted(
        [
            "p/a.jpg",
            "p/b.jpg?w=300",
            "p/c.jpg_large",
            "p/d",
            "p/e.CR2",
            "p/.f/g.jpg",
            "p/._a.jpg",
            "p/@eaDir/a.jpg",
            "p/__MACOSX/._a.jpg",
            "p/i.cr2",
        ]
    )
    noticed = Noticed()
    assert len(list(list_images("s3://bucket/p", noticed=noticed))) == 1
    assert {kind.kind: kind.number for kind in noticed.notices().passed_over} == {
        "Canon RAW file": 2,
        SUFFIX_AND_MORE: 2,
        NO_SUFFIX: 1,
        "AppleDouble": 2,
        "hidden": 1,
        "thumbnails of a Synology": 1,
    }


def test_what_redepth_wrote_is_not_listed(server: ListingServer) -> None:
    run = "00000001-20260101T000000000000Z-0123456789ab"
    server.keys = sorted(
        [
            "p/a.jpg",
            f"p/out/reports/{run}/contact-sheet.png",
            "p/export/confidence/a.png",
            "p/export/refined/a.png",
            "p/mine/set/a.jpg",
            "q/reports/2024/b.png",
        ]
    )
    server.objects = {
        "p/out/dataset.json": '{"format_version": 3, "recipe_digest": "ab"}',
        "p/export/export.json": '{"recipe_digest": "ab", "request": {}}',
        "p/mine/export.json": '{"made by": "somebody else"}',
    }
    noticed = Noticed()
    listed = [ref.uri for ref in list_images("s3://bucket/", noticed=noticed)]
    assert listed == [
        f"s3://bucket/{key}" for key in ("p/a.jpg", "p/mine/set/a.jpg", "q/reports/2024/b.png")
    ]
    assert {kind.kind: kind.number for kind in noticed.notices().passed_over} == {
        "redepth's own export": 2,
        "redepth's own labels": 1,
    }


@pytest.mark.parametrize(
    ("status", "expected", "said"),
    [
        (403, ConfigError, "access is refused.*AWS_SECRET_ACCESS_KEY"),
        (401, ConfigError, "access is refused"),
        (404, ConfigError, "no such folder, file or bucket"),
        (301, ConfigError, "AWS_DEFAULT_REGION"),
        (400, ConfigError, "access is refused"),
    ],
)
def test_what_the_server_refuses(
    server: ListingServer, status: int, expected: type[Exception], said: str
) -> None:
    server.status = status
    with pytest.raises(expected, match=said):
        list(list_images("s3://bucket/p"))


def test_a_server_that_fails_may_work_later(server: ListingServer) -> None:
    server.status = 503
    with pytest.raises(TransientError, match=r"s3://bucket/p: the storage failed.*try again"):
        list(list_images("s3://bucket/p"))


def test_no_credentials_at_all(
    server: ListingServer, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, f"{tmp_path}/none")
    with pytest.raises(ConfigError, match="Unable to locate credentials"):
        list(list_images("s3://bucket/p"))
    assert server.requests == []


def test_a_profile_that_does_not_exist(
    server: ListingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigError, match="nobody"):
        list(list_images("s3://bucket/p"))
