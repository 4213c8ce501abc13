"""What a list from a stranger may name, and where a server may send who reads it."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from redepth.config import Decoding
from redepth.errors import ConfigError, ImageRejected
from redepth.images.allowed import ANYTHING, Allowed, allowed_for
from redepth.images.collection import list_images
from redepth.images.decode import read_image
from redepth.images.opening import Door
from redepth.types import ImageRef


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with a picture, beside a folder that is none of its business."""
    for folder in ("photos", "private", "photos-2"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (20, 20)).save(tmp_path / folder / "a.png")
    return tmp_path / "photos"


def rejected(uri: str, allowed: Allowed) -> str:
    with pytest.raises(ImageRejected) as info:
        read_image(ImageRef("a", uri), Decoding(), allowed)
    return str(info.value)


def listed(photos: Path, name: str) -> str:
    """Return the uri that a list with this one name is read as."""
    (photos / "list.txt").write_text(name + "\n")
    return next(list_images(str(photos / "list.txt"))).uri


@pytest.mark.parametrize(
    "name",
    [
        "../private/a.png", "../photos-2/a.png", "{up}/private/a.png", "file://{up}/private/a.png",
        "FILE://{up}/private/a.png", "local://{up}/private/a.png", "sub/../../private/a.png",
        "linked.png", "linked/a.png", "linked-sub/../private/a.png",
        "s3://bucket/attic/a.png", "http://169.254.169.254/latest/meta-data", "memory://a.png",
        "zip://a.png::{up}/private/a.zip", "zip://a.png::file://{up}/private/a.zip",
        "tar://a.png::http://169.254.169.254/a.tar", "simplecache::http://169.254.169.254/a.png",
        "simplecache::file://{up}/photos/a.png", "reference://a::file://{up}/photos/a.json",
        "zip://a.png::zip://b.zip::file://{up}/photos/c.zip",
        "zip://a.png::simplecache::file://{up}/photos/a.zip", "dir://a::file://{up}/photos",
        "file://{up}/photos/a.png::file:///etc/passwd",
    ],
)  # fmt: skip
def test_what_a_local_list_may_not_name(photos: Path, name: str) -> None:
    (photos / "linked.png").symlink_to(photos.parent / "private" / "a.png")
    (photos / "linked").symlink_to(photos.parent / "private")
    (photos / "linked-sub").symlink_to(photos.parent / "private")
    uri = listed(photos, name.format(up=photos.parent))
    said = rejected(uri, allowed_for(str(photos / "list.txt")))
    assert uri in said and "a list may name" in said


@pytest.mark.parametrize("name", ["a.png", "./a.png", "{up}/photos/a.png", "inside.png"])
def test_what_it_may_name(photos: Path, name: str) -> None:
    (photos / "inside.png").symlink_to(photos / "a.png")
    uri = listed(photos, name.format(up=photos.parent))
    allowed = allowed_for(str(photos / "list.txt"))
    assert read_image(ImageRef("a", uri), Decoding(), allowed).width_px == 20


def test_a_rejection_names_what_to_do(photos: Path) -> None:
    said = rejected("s3://bucket/a.png", allowed_for(str(photos / "list.txt")))
    assert str(photos) in said
    assert "--allow ROOT" in said and "run.sources.allow" in said


def test_more_can_be_allowed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"{photos.parent}/private/a.png"
    monkeypatch.chdir(photos.parent)
    for root in (str(photos.parent / "private"), "private", "../", "/"):
        allowed = allowed_for(str(photos / "list.txt"), [root])
        assert read_image(ImageRef("a", uri), Decoding(), allowed).width_px == 20
    rejected(uri, allowed_for(str(photos / "list.txt"), [str(photos.parent / "priv")]))


@pytest.mark.parametrize(
    "source", ["{l,m}.csv", "{a.tar,l.csv}", "{l.csv,a.png}", "../{photos,photos-2}/l.csv", "*.csv",
               "{*.tar,l.csv}", "{x,y}{l.csv,.tar}", "[l]*.parquet", "{l.csv.gz,a.zip}"],
)  # fmt: skip
def test_braces_let_no_list_name_more(photos: Path, source: str) -> None:
    allowed = allowed_for(f"{photos}/{source}")
    assert allowed.allows(f"{photos}/a.png")
    for uri in (f"{photos.parent}/private/a.png", "/etc/passwd", "http://169.254.169.254/a"):
        rejected(uri, allowed)
    assert allowed_for(f"{photos}/{{a,b}}.png") is ANYTHING
    assert allowed_for(f"{photos}/{{0..9}}.tar") is ANYTHING


def test_what_stands_beside_a_list_in_braces_is_read(photos: Path) -> None:
    (photos / "shards").mkdir()
    source = f"{photos.parent}/{{private,photos/shards/*.parquet}}"
    allowed = allowed_for(source)
    assert allowed.allows(f"{photos.parent}/private/a.png")
    assert allowed.allows(f"parquet://image/1::file://{photos}/shards/a.parquet")
    for uri in (f"{photos}/a.png", "/etc/passwd", "http://169.254.169.254/a"):
        rejected(uri, allowed)
    allowed = allowed_for("s3://b/{photos,x/*.tar,lists/l.csv}")
    assert allowed.allows("s3://b/photos/a.jpg")
    assert not allowed.allows("s3://c/photos/a.jpg")


def test_a_linked_list_is_of_the_folder_it_lies_in(photos: Path, tmp_path: Path) -> None:
    (photos / "list.txt").write_text("a.png\n")
    (tmp_path / "link.txt").symlink_to(photos / "list.txt")
    assert allowed_for(str(tmp_path / "link.txt")).roots == (str(photos),)


def test_a_folder_and_what_is_linked_in_it_is_read(photos: Path) -> None:
    """Who points at a folder points at what is linked there."""
    (photos / "linked.png").symlink_to(photos.parent / "private" / "a.png")
    for source in (str(photos), f"{photos}/*.png", str(photos / "a.png")):
        assert allowed_for(source) is ANYTHING


@pytest.mark.parametrize(
    ("source", "allow", "uri", "is_allowed"),
    [
        ("s3://b/lists/l.csv", (), "s3://b/photos/a.jpg", True),
        ("s3a://b/lists/l.csv", (), "s3://b/photos/a.jpg", True),
        ("s3://b/lists/l.csv", (), "s3://b2/photos/a.jpg", False),
        ("s3://b/lists/l.csv", (), "/etc/passwd", False),
        ("s3://b/lists/l.csv", ("s3://b2/x",), "s3://b2/x/a.jpg", True),
        ("s3://b/lists/l.csv", ("s3://b2/x",), "s3://b2/xy/a.jpg", False),
        ("s3://b/lists/l.csv", ("s3://",), "s3://b2/xy/a.jpg", True),
        ("s3://b/lists/l.csv", ("s3://",), "gs://b2/xy/a.jpg", False),
        ("https://h.org/l.txt", (), "https://h.org/x/a.jpg", True),
        ("https://h.org/l.txt", (), "https://H.ORG:443/x/a.jpg", True),
        ("https://h.org/l.txt", (), "http://h.org/x/a.jpg", False),
        ("https://h.org/l.txt", (), "https://h.org:444/x/a.jpg", False),
        ("https://h.org/l.txt", (), "https://h.org.evil.net/a.jpg", False),
        ("https://h.org/l.txt", (), "https://h.org@evil.net/a.jpg", False),
        ("https://h.org/l.txt", (), "https://evil.net\\@h.org/a.jpg", False),
        ("https://h.org/l.txt", (), "https://h.org:x/a.jpg", False),
        ("l.txt", ("https://h.org/p",), "https://h.org/p/a.jpg", True),
        ("l.txt", ("https://h.org/p",), "https://h.org/q/a.jpg", False),
        ("l.txt", ("https://h.org/p",), "https://h.org/p/%2e%2e/q/a.jpg", False),
        ("l.txt", ("https://",), "https://anywhere.org/a.jpg", True),
        ("zip://l.txt::s3://b/x.zip", (), "zip://a.jpg::s3://b/x.zip", True),
        ("zip://l.txt::s3://b/x.zip", (), "zip://a.jpg::s3://c/x.zip", False),
        ("/a/l.parquet", (), "parquet://image/0::file:///a/l.parquet", True),
        ("/a/l.parquet", (), "parquet://image/0::file:///b/l.parquet", False),
    ],
)
def test_roots_elsewhere(source: str, allow: tuple[str, ...], uri: str, is_allowed: bool) -> None:
    allowed = allowed_for(source, allow)
    if is_allowed:
        allowed.require(uri)
    else:
        with pytest.raises(ImageRejected, match="a list may name"):
            allowed.require(uri)


@pytest.mark.parametrize("root", ["", " ", "zip://x::/a"])
def test_a_root_that_is_none(root: str) -> None:
    with pytest.raises(ConfigError, match="nothing that a list can be allowed to name"):
        allowed_for("l.txt", [root])


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254",
        "100.64.0.1", "::1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "::ffff:127.0.0.1",
        "2002:7f00:1::", "::", "224.0.0.1",
    ],
)  # fmt: skip
def test_private_addresses(address: str) -> None:
    with pytest.raises(ImageRejected, match=r"--allow http://HOST:PORT.*run\.sources\.allow"):
        Door(frozenset()).require(address, 80)
    Door(frozenset({(address, 80)})).require(address, 80)
    Door(frozenset()).require("1.1.1.1", 80)
    Door(frozenset()).require("2606:4700:4700::1111", 80)


@dataclass
class Answers:
    """What a server gives: where a path leads, or a picture; and what it was asked for."""

    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


class AnsweringServer(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = Answers()


class Handler(BaseHTTPRequestHandler):
    server: AnsweringServer

    def do_GET(self) -> None:
        answers = self.server.answers
        answers.asked.append(self.path)
        if self.path in answers.redirects:
            self.send_response(302)
            self.send_header("Location", answers.redirects[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = io.BytesIO()
        Image.new("RGB", (20, 20)).save(content, "PNG")
        self.send_response(200)
        self.send_header("Content-Length", str(len(content.getvalue())))
        self.end_headers()
        self.wfile.write(content.getvalue())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[tuple[AnsweringServer, AnsweringServer]]:
    """Yield two servers on this machine: one that a user names, and one in its private network."""
    pair = AnsweringServer(), AnsweringServer()
    threads = []
    for server in pair:
        threads.append(threading.Thread(target=server.serve_forever, args=(0.01,)))
        threads[-1].start()
    yield pair
    for server, thread in zip(pair, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def url(server: ThreadingHTTPServer, name: str, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{server.server_port}{name}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_host_that_was_named_may_be_private(
    servers: tuple[AnsweringServer, AnsweringServer], host: str
) -> None:
    named, _ = servers
    allowed = allowed_for("l.txt", [url(named, "", host)])
    uri = url(named, "/a.png", host)
    assert read_image(ImageRef("a", uri), Decoding(), allowed).width_px == 20
    assert read_image(ImageRef("a", uri), Decoding()).width_px == 20, "a user's own prefix"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_scheme_lets_nobody_into_the_private_network(
    servers: tuple[AnsweringServer, AnsweringServer], host: str
) -> None:
    _, private = servers
    said = rejected(url(private, "/a.png", host), allowed_for("l.txt", ["http://"]))
    assert "in a private network" in said
    assert private.answers.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("by_name", [True, False])
def test_a_redirect_leads_to_no_other_port_of_the_private_network(
    servers: tuple[AnsweringServer, AnsweringServer], host: str, by_name: bool
) -> None:
    named, private = servers
    named.answers.redirects["/a.png"] = url(private, "/secret", host)
    named.answers.redirects["/b.png"] = "/c.png"
    named.answers.redirects["/f.png"] = "file:///etc/passwd"
    allowed = allowed_for("l.txt", [url(named, "")]) if by_name else ANYTHING
    assert "in a private network" in rejected(url(named, "/a.png"), allowed)
    assert private.answers.asked == []
    followed = read_image(ImageRef("b", url(named, "/b.png")), Decoding(), allowed)
    assert followed.width_px == 20
    rejected(url(named, "/f.png"), allowed)


def test_a_redirect_of_an_archive_and_of_a_list(
    servers: tuple[AnsweringServer, AnsweringServer],
) -> None:
    named, private = servers
    named.answers.redirects |= {
        name: url(private, "/secret") for name in ("/a.tar", "/l.txt", "/l.parquet")
    }
    rejected(f"tar://a.png::{url(named, '/a.tar')}", ANYTHING)
    for name in ("/l.txt", "/l.parquet", "/a.tar"):
        with pytest.raises(ConfigError):
            list(list_images(url(named, name)))
    assert private.answers.asked == []
