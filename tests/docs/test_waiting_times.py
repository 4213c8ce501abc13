"""The table of time-outs on docs/failures.md says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp.client import DEFAULT_TIMEOUT
from huggingface_hub.constants import DEFAULT_DOWNLOAD_TIMEOUT

from flows import embedded_server, prefect_connection
from redepth import filesystems
from redepth.cluster import probe, session
from redepth.config import Actors

PAGE = Path(__file__).resolve().parents[2] / "docs" / "failures.md"
TABLE = PAGE.read_text(encoding="utf-8").partition("## How long is waited")[2].partition("\n#")[0]
ACTORS = Actors()
REQUEST_S = float(embedded_server.QUIET["PREFECT_API_REQUEST_TIMEOUT"])


@pytest.mark.parametrize(
    ("row", "seconds"),
    [
        ("`--ray HOST:PORT`", (session.KNOCK_TIMEOUT_S, probe.PATIENCE_S)),
        ("models on Ray's actors", (ACTORS.start_timeout_s,)),
        ("`PREFECT_API_URL` at the start", (prefect_connection.ANSWER_TIMEOUT_S,)),
        ("Prefect's server later", (REQUEST_S,)),
        ("a run's own Prefect server", (embedded_server.START_TIMEOUT_S,)),
        ("S3", (filesystems._CONNECT_TIMEOUT_S, filesystems._READ_TIMEOUT_S)),
        ("a photograph over HTTP", (DEFAULT_TIMEOUT.sock_connect, DEFAULT_TIMEOUT.total)),
        ("one image, everything together", (ACTORS.image_timeout_s,)),
        ("the hub of weights", (DEFAULT_DOWNLOAD_TIMEOUT,)),
    ],
)
def test_a_row_says_what_the_code_does(row: str, seconds: tuple[float, ...]) -> None:
    (line,) = (line for line in TABLE.splitlines() if line.startswith(f"| {row}"))
    for number in seconds:
        assert f"{number:g} s" in line
