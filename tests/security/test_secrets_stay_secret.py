"""A real run over a list with passwords and signed URLs: afterwards they are found nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from PIL import Image

from redepth.store.reader import open_labels

pytestmark = [pytest.mark.security, pytest.mark.timeout(600)]

REDEPTH = Path(sys.executable).with_name("redepth")
# Each place has a canary of its own, so that a find says where it came from.
CANARIES = {
    "environment": "CANARYENV7f3a",
    "signature": "CANARYSIG91bc",
    "expired signature": "CANARYOLD55de",
    "dead server": "CANARYDEAD20aa",
    "password": "CANARYPW04cd",
    "chained password": "CANARYZIP88ef",
}
REDACTED = "http://127.0.0.1:9/a.png?***"
SETTINGS = ("--recipe=mini-coarse", "--set=labels.coarse.size_px=56", "--actors=1")


class _Signed(SimpleHTTPRequestHandler):
    """Serve a photograph to whoever has the one signature; 403 to others."""

    def do_GET(self) -> None:
        if f"X-Amz-Signature={CANARIES['signature']}" not in self.path:
            self.send_error(403)
            return
        super().do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass(frozen=True)
class Watched:
    """What was seen while a run went on: its processes' command lines, and files that go with it.

    Attributes:
        leaks: (canary, file) of temporary files: Ray's session, the own Prefect server's home.
    """

    commands: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    leaks: set[tuple[str, str]] = field(default_factory=set)
    mentioned: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Ran:
    """What a run left: what it printed, its output and home, and what was seen meanwhile."""

    said: str
    places: tuple[Path, ...]
    watched: Watched
    out: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    Image.new("RGB", (64, 48), "red").save(folder / "a.png")
    handler = partial(_Signed, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def _list_file(folder: Path, server: str) -> Path:
    Image.new("RGB", (64, 48), "blue").save(folder / "b.png")
    uris = (
        "b.png",
        f"{server}/a.png?X-Amz-Date=1&X-Amz-Signature={CANARIES['signature']}",
        f"{server}/a.png?v=2&X-Amz-Signature={CANARIES['expired signature']}",
        f"http://127.0.0.1:9/a.png?X-Goog-Signature={CANARIES['dead server']}",
        f"http://user:{CANARIES['password']}@127.0.0.1:9/a.jpg",
        f"zip://a.jpg::http://user:{CANARIES['chained password']}/x@127.0.0.1:9/all.zip",
    )
    path = folder / "list.jsonl"
    path.write_text("".join(json.dumps({"uri": uri}) + "\n" for uri in uris))
    return path


def _content(path: Path) -> bytes:
    """Return a file's bytes; of a Parquet file what it says, for its pages are compressed."""
    if path.suffix == ".parquet":
        return str(pq.read_table(path).to_pylist()).encode()
    return path.read_bytes()


def _watch(process: subprocess.Popen[str], temporary: Path) -> Watched:
    """Look at the processes below one, and at temporary files, again and again until it ends."""
    watched = Watched()
    while process.poll() is None:
        with suppress(psutil.Error):
            for below in psutil.Process(process.pid).children(recursive=True):
                watched.commands.add(" ".join(below.cmdline()))
        for path in temporary.rglob("*"):
            with suppress(OSError):  # gone, or a socket
                if path.is_file() and not path.is_symlink():
                    _look_at(path, watched)
        time.sleep(0.5)
    return watched


def _look_at(path: Path, watched: Watched) -> None:
    content = path.read_bytes()
    watched.files.add(path.name)
    watched.leaks.update(
        (where, path.name) for where, c in CANARIES.items() if c.encode() in content
    )
    if REDACTED.encode() in content:
        watched.mentioned.add(path.name)


@pytest.fixture(scope="module", params=[0, 1], ids=["actors-decode", "decoders"])
def ran(
    request: pytest.FixtureRequest, server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("run")
    photos = folder / "photos"
    photos.mkdir()
    listed, out, home = _list_file(photos, server), folder / "labels", folder / "prefect"
    # Ray's sockets lie below, and a socket's path has 107 letters at most.
    with tempfile.TemporaryDirectory(prefix="rd") as temporary:
        environment = {
            **os.environ,
            "PREFECT_HOME": str(home),
            "TMPDIR": temporary,
            "AWS_ACCESS_KEY_ID": "AKIA",
            "AWS_SECRET_ACCESS_KEY": CANARIES["environment"],
            "PREFECT_LOGGING_LEVEL": "DEBUG",
        }
        printed = folder / "printed.txt"
        with printed.open("w") as stream:
            process = subprocess.Popen(
                [
                    str(REDEPTH), "label", str(listed), "--out", str(out), *SETTINGS,
                    "--allow", server, "--allow", "http://127.0.0.1:9",
                    f"--set=run.actors.num_decoders={request.param}",
                ],
                stdout=stream, stderr=subprocess.STDOUT, text=True, env=environment,
            )  # fmt: skip
            watched = _watch(process, Path(temporary))
        said = printed.read_text()
        assert process.returncode == 0, said
        yield Ran(said, (out, home, Path(temporary)), watched, out)


def test_signed_photographs_are_labelled_and_the_others_recorded(ran: Ran, server: str) -> None:
    table = open_labels(str(ran.out)).table(["uri", "outcome", "reason"]).to_pylist()
    rows = {row["uri"].replace(server, "http://server"): row for row in table}
    assert {name.rpartition("/photos/")[2]: row["outcome"] for name, row in rows.items()} == {
        "b.png": "refined",
        "http://server/a.png?***": "refined",
        "http://server/a.png?v=2&***": "rejected",
        "http://127.0.0.1:9/a.png?***": "failed",
        "http://***@127.0.0.1:9/a.jpg": "rejected",
        "zip://a.jpg::http://***@127.0.0.1:9/all.zip": "rejected",
    }
    assert "user or a password" in rows["http://***@127.0.0.1:9/a.jpg"]["reason"]


@pytest.mark.parametrize("where", CANARIES)
def test_a_secret_is_in_no_file_output_or_command_line(ran: Ran, where: str) -> None:
    canary = CANARIES[where]
    assert canary not in ran.said
    assert not [command for command in ran.watched.commands if canary in command]
    assert not [path for leaked, path in ran.watched.leaks if leaked == where]
    found = [
        str(path)
        for place in ran.places
        for path in place.rglob("*")
        if path.is_file() and not path.is_symlink() and canary.encode() in _content(path)
    ]
    assert found == []


def test_the_search_would_find_something(ran: Ran) -> None:
    """A run has a database, logs, a page and processes: else the other tests say nothing."""
    assert list(ran.places[0].rglob("index.html"))
    assert any("ray" in command for command in ran.watched.commands)
    assert {"raylet.out", "gcs_server.out"} <= ran.watched.files, "Ray's logs"
    assert any(name.startswith("prefect.db") for name in ran.watched.mentioned), "a failure's log"


@pytest.mark.parametrize("option", ["source", "out"])
def test_a_secret_on_the_command_line_reaches_no_database(tmp_path: Path, option: str) -> None:
    url = f"https://user:{CANARIES['password']}@host/x"
    source, out = (url, tmp_path / "out") if option == "source" else (tmp_path, url)
    done = subprocess.run(
        [str(REDEPTH), "label", str(source), "--out", str(out), *SETTINGS],
        env={**os.environ, "PREFECT_HOME": str(tmp_path / "prefect")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert CANARIES["password"] not in done.stdout + done.stderr
    assert "https://***@host/x" in done.stderr
    assert not (tmp_path / "prefect").exists()
