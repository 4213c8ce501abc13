"""Names and addresses as they come: each opens the file that it names, or says what is wrong."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from redepth.config import Decoding
from redepth.errors import ConfigError, ImageRejected
from redepth.images.allowed import allowed_for
from redepth.images.collection import could_list, list_images
from redepth.images.decode import read_image
from redepth.images.opening import as_sent, open_source, web_hosts
from redepth.images.uris import canonical_uri, file_name, has_wildcards, image_id, mistyped
from redepth.types import ImageRef
from tests.images.list_samples import picture

NAMES = [
    "~x.jpg", "~root", "~", "a::b.jpg", "a%20b.jpg", "100%.jpg", "a b.jpg", " a.jpg", "#1.jpg",
    "a#b.jpg", "a?b.jpg", "a..jpg", "a.", "..a.jpg", "a\\b.jpg", "[1].jpg", "{1,2}.jpg", "*.jpg",
    "s3:a.jpg", "http:a.jpg", "ü ß.jpg", "e\u0301.jpg", "a'b\".jpg", "a;b,c.jpg", "$a.jpg",
    "a\tb.jpg", "-a.jpg", "a=b&c+d.jpg", "con.jpg", "\u202ea.jpg", "a:b.jpg", "%2e%2e", "|.jpg",
]  # fmt: skip


def opened(ref: ImageRef, source: Path) -> bool:
    return read_image(ref, Decoding(), allowed_for(str(source))).width_px == 20


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, which is another than the list's."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "lists"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_found_by_its_own_name(name: str, folder: Path) -> None:
    path = folder / name
    path.write_bytes(picture())
    (folder / "l.jsonl").write_text(
        "".join(json.dumps({"uri": uri}) + "\n" for uri in (f"./{name}", str(path), path.as_uri()))
    )
    (ref,) = list_images(str(folder / "l.jsonl"))
    assert ref.uri == str(path) and ref.id == image_id(str(path)) and opened(ref, folder / "l.txt")
    (alone,) = list_images(str(path))
    assert (alone.uri, alone.id) == (ref.uri, ref.id)
    assert could_list(str(path))(ref.uri)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (" a.jpg", "~")])
def test_a_relative_name_is_that_of_a_file(name: str, folder: Path) -> None:
    (folder / name).write_bytes(picture())
    (folder / "l.jsonl").write_text(json.dumps({"uri": name}))
    (ref,) = list_images(str(folder / "l.jsonl"))
    assert ref.uri == f"{folder}/{name}" and opened(ref, folder / "l.jsonl")


@pytest.mark.parametrize("name", NAMES)
def test_in_a_folder_called_so(name: str, folder: Path) -> None:
    (folder / name).mkdir()
    (folder / name / "a.png").write_bytes(picture())
    (ref,) = list_images(str(folder / name))
    assert ref.uri == f"{folder}/{name}/a.png" and opened(ref, folder)


def test_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert canonical_uri("~") == str(tmp_path)
    assert canonical_uri("~/a.jpg") == f"{tmp_path}/a.jpg"
    assert canonical_uri("~a.jpg", "/b") == "/b/~a.jpg"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("file:///a%20b.jpg", "/a b.jpg"),
        ("FILE:///a%20b.jpg", "/a b.jpg"),
        ("file:/a%20b.jpg", "/a b.jpg"),
        ("file://localhost/a%20b.jpg", "/a b.jpg"),
        ("file:///a%2520b.jpg", "/a%20b.jpg"),
        ("file:///100%.jpg", "/100%.jpg"),
        ("file:///a b#c?d.jpg", "/a b#c?d.jpg"),
        ("file:///x/%2e%2e/a.jpg", "/a.jpg"),
        ("/a%20b.jpg", "/a%20b.jpg"),
        ("local:///a%20b.jpg", "/a%20b.jpg"),
        ("s3://b/a%20b.jpg", "s3://b/a%20b.jpg"),
        ("https://h/a%20b%2Fc.jpg", "https://h/a%20b%2Fc.jpg"),
        ("ZIP://A.jpg::S3://B/C.zip", "zip://A.jpg::s3://B/C.zip"),
        ("zip://a.jpg::/x/../y.zip", "zip://a.jpg::/y.zip"),
        ("zip://a.jpg::y.zip", "zip://a.jpg::/base/y.zip"),
        ("zip://a.jpg::file:///a%20b.zip", "zip://a.jpg::file:///a%20b.zip"),
    ],
)
def test_one_form(uri: str, expected: str) -> None:
    found = canonical_uri(uri, "/base")
    assert found == expected
    assert canonical_uri(found) == found


def test_an_encoded_name_that_is_not_utf_8(folder: Path) -> None:
    path = folder / os.fsdecode(b"\xff.jpg")
    path.write_bytes(picture())
    assert canonical_uri(path.as_uri()) == str(path)


def test_an_encoded_name_leads_nowhere_else(folder: Path) -> None:
    (folder.parent / "a.png").write_bytes(picture())
    (folder / "l.txt").write_text(f"file://{folder}/%2e%2e/a.png\n")
    (ref,) = list_images(str(folder / "l.txt"))
    with pytest.raises(ImageRejected, match="this does not"):
        opened(ref, folder / "l.txt")


@pytest.mark.parametrize(
    "uri", ["C:\\photos\\a.jpg", "photos\\a.jpg", "\\\\server\\share\\a.jpg", "\\\\?\\C:\\a.jpg"]
)
def test_a_path_of_windows_says_so(uri: str, folder: Path) -> None:
    (folder / "l.txt").write_text(uri)
    (ref,) = list_images(str(folder / "l.txt"))
    with pytest.raises(ImageRejected, match="a backslash is a letter of a name here: write / "):
        opened(ref, folder / "l.txt")


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("s3:/bucket/a.jpg", "s3://bucket/a.jpg"),
        ("s3:///bucket/a.jpg", "s3://bucket/a.jpg"),
        ("S3:/bucket/a.jpg", "S3://bucket/a.jpg"),
        ("https:/host/a.jpg", "https://host/a.jpg"),
        ("http:///host/a.jpg", "http://host/a.jpg"),
        ("gs:/bucket/a.jpg", "gs://bucket/a.jpg"),
    ],
)
def test_a_slash_too_few_or_too_many(uri: str, meant: str, folder: Path) -> None:
    (folder / "l.txt").write_text(f"b.jpg\n{uri}\n")
    for source, where in ((uri, uri), (str(folder / "l.txt"), "line 2: ")):
        with pytest.raises(ConfigError) as caught:
            list(list_images(source))
        assert where in str(caught.value) and str(caught.value).endswith(f"write {meant}")


@pytest.mark.parametrize(
    "uri", ["s3://b/a.jpg", "./s3:/a.jpg", "/s3:/a.jpg", "s3:a.jpg", "file:/a", "a/http:/b.jpg"]
)
def test_other_colons_are_letters(uri: str) -> None:
    assert mistyped(uri) is None


# --- versions of objects -------------------------------------------------------------------------


def test_a_version_of_an_object_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    uri = "s3://b/photos/a.jpg?versionId=3/L4kq"
    assert canonical_uri(uri) == uri
    assert file_name(uri) == "s3://b/photos/a.jpg" and not has_wildcards(uri)
    assert image_id(uri) != image_id("s3://b/photos/a.jpg")
    filesystem, path = open_source(uri)
    assert filesystem.split_path(path) == ("b", "photos/a.jpg", "3/L4kq")
    assert has_wildcards("s3://b/photos/?.jpg")


# --- the web -------------------------------------------------------------------------------------


class Asked(BaseHTTPRequestHandler):
    """Gives a picture for every address, and keeps what was asked for, letter by letter."""

    server: AskedServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        content = b"a.png?list\n" if ".txt" in self.path else picture()
        content = gzip.compress(content) if ".gz" in self.path else content
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "20")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class AskedServer(ThreadingHTTPServer):
    """A server of this machine."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.asked: list[str] = []


@pytest.fixture
def server() -> Iterator[AskedServer]:
    server = AskedServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (address, address)
        for address in (
            "/a%2Fb.jpg", "/a.jpg?X-Amz-Credential=K%2F2026%2Fs3%2Faws4_request&X-Amz-Signature=ab",
            "/a.jpg?sig=a%2Bb%3D&se=2026-01-01T00%3A00%3A00Z", "/a%20b.jpg", "/a+b.jpg?c=d+e",
            "/%7Ea/~b.jpg", "/a.jpg?x=%e4%bd", "/a;b,c'd(e)!$&*=:@.jpg", "/a.jpg?p=%252F",
            "/a/./b.jpg?q=../c",
        )
    ]
    + [
        ("/a b.jpg", "/a%20b.jpg"), ("/ü.jpg?ä=ß", "/%C3%BC.jpg?%C3%A4=%C3%9F"),
        ("/100%.jpg", "/100%25.jpg"), ("/a.jpg#part", "/a.jpg"),
        ('/a"<>|.jpg', "/a%22%3C%3E%7C.jpg"),
    ],
)  # fmt: skip
def test_an_address_arrives_as_it_was_written(
    written: str, sent: str, server: AskedServer, folder: Path
) -> None:
    url = f"http://127.0.0.1:{server.server_port}{written}"
    (folder / "l.jsonl").write_text(json.dumps({"uri": url}))
    (ref,) = list_images(str(folder / "l.jsonl"))
    allowed = allowed_for(str(folder / "l.jsonl"), [f"http://127.0.0.1:{server.server_port}"])
    assert read_image(ref, Decoding(), allowed).width_px == 20
    assert server.asked == [sent.replace("/./", "/")]
    if "Signature" in written or "sig=" in written:
        assert "%2" not in ref.uri and "***" in ref.uri
        assert ref.opens is not None and ref.opens.get_secret_value() == url


def test_a_list_and_a_picture_with_a_query(server: AskedServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    (ref,) = list_images(f"{url}/photos/l.txt?size=2")
    assert ref.uri == f"{url}/photos/a.png?list"
    (ref,) = list_images(f"{url}/photos/l.txt.gz?size=2")
    assert ref.uri == f"{url}/photos/a.png?list"
    (ref,) = list_images(f"{url}/a.jpg?size=2")
    assert ref.uri == f"{url}/a.jpg?size=2"


def test_hosts_beyond_ascii() -> None:
    assert as_sent("https://bücher.example/ü") == "https://xn--bcher-kva.example/%C3%BC"
    assert web_hosts("https://BÜCHER.example/a") == web_hosts("https://xn--bcher-kva.example/b")
    allowed = allowed_for("https://bücher.example/l.txt")
    assert allowed.allows("https://xn--bcher-kva.example/a.jpg")
    assert not allowed.allows("https://bucher.example/a.jpg")
    # ß is a letter of its own to what opens an address, and ss to older rules.
    assert not allowed_for("https://strasse.de/l.txt").allows("https://straße.de/a.jpg")
    for broken in ("https://\u2603\u200d.\ud800/a.jpg", "https://a\u3002\u3002b/a.jpg"):
        assert not allowed.allows(broken)
