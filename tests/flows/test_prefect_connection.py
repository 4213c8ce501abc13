"""What is said of a Prefect server that does not answer as one."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import prefect_connection
from flows.prefect_connection import require_answer
from redepth.errors import ConfigError, RedepthError, TransientError


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """Serve one answer to every GET."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api"
        finally:
            server.shutdown()
            thread.join()


def asked(url: str) -> str:
    with temporary_settings({PREFECT_API_URL: url}):
        return require_answer()


def test_a_server_that_answers_says_its_version() -> None:
    with answering(200, json.dumps("3.8.8")) as url:
        assert asked(url) == "3.8.8"


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, "", ConfigError, "PREFECT_API_AUTH_STRING"),
        (403, "", ConfigError, "refuses access (403)"),
        (404, "", ConfigError, "is no Prefect server"),
        (200, "<html>hello</html>", ConfigError, "is no Prefect server"),
        (200, "{}", ConfigError, "ends in /api"),
        (500, "", TransientError, "answered 500"),
        (503, "", TransientError, "answered 503"),
    ],
)
def test_other_answers_are_explained(
    status: int, body: str, kind: type[RedepthError], words: str
) -> None:
    with answering(status, body) as url, pytest.raises(kind) as raised:
        asked(url)
    assert words in str(raised.value)
    assert url in str(raised.value)


def test_a_closed_port_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ConfigError, match="no Prefect server answers"):
            asked(f"http://127.0.0.1:{port}/api")


def test_a_silent_listener_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect_connection, "ANSWER_TIMEOUT_S", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ConfigError, match=r"did not answer within 0\.5 s"):
            asked(f"http://127.0.0.1:{silent.getsockname()[1]}/api")


def test_a_password_in_the_address_is_not_shown() -> None:
    with answering(401, "") as url, pytest.raises(ConfigError) as raised:
        asked(url.replace("://", "://someone:secret@"))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["http://", "no-address", "http://127.0.0.1:notaport/api"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="no Prefect server answers"):
        asked(url)
