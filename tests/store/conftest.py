"""Outputs on every storage the store is held to."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest

NewOutput = Callable[[], str]


@pytest.fixture(
    scope="session", params=["local", "memory", pytest.param("s3", marks=pytest.mark.s3)]
)
def new_output(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewOutput]:
    """Return what makes the URL of an output that is not there yet."""
    if request.param == "s3":
        bucket = request.getfixturevalue("new_bucket")()
        yield lambda: f"s3://{bucket}/{uuid.uuid4().hex}"
    elif request.param == "memory":
        yield lambda: f"memory://{uuid.uuid4().hex}/labels"
        fsspec.filesystem("memory").store.clear()
    else:
        folder: Path = tmp_path_factory.mktemp("outputs")
        yield lambda: str(folder / uuid.uuid4().hex)


@pytest.fixture
def out(new_output: NewOutput) -> str:
    return new_output()
