"""What every test stands on: no hub, one thread a library, and a bucket for those that ask."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

# A busy machine takes ten times as long for one example of many: that is no finding.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# Set before any test imports a library that reads them: nothing may ask the hub, and several test
# processes share a few cores.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def new_bucket() -> Iterator[Callable[[], str]]:
    """Return what makes an empty bucket on the server of AWS_ENDPOINT_URL; all go at the end."""
    if "AWS_ENDPOINT_URL" not in os.environ:
        pytest.fail("tests marked s3 need AWS_ENDPOINT_URL; `make test-s3` starts a server")
    import boto3

    server, names = boto3.resource("s3"), []

    def make() -> str:
        names.append(f"redepth-{uuid.uuid4().hex}")
        server.create_bucket(Bucket=names[-1])
        return names[-1]

    yield make
    for name in names:
        server.Bucket(name).objects.delete()
        server.Bucket(name).delete()


@pytest.fixture
def s3_bucket(new_bucket: Callable[[], str]) -> str:
    """Return the name of an empty bucket."""
    return new_bucket()
