"""One Prefect server on Postgres for all tests here."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.ops.prefect_stack import Stack, prefect_stack

logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request, many a second

CANARY = "canary-7d1f4c-must-not-be-seen"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # In the environment of everything there is, as an operator's own secrets are.
    secrets = {
        "AWS_SECRET_ACCESS_KEY": CANARY,
        "HF_TOKEN": CANARY,
        "REDEPTH_TEST_SECRET": CANARY,
    }
    with prefect_stack(tmp_path_factory.mktemp("ops"), secrets) as running:
        yield running
