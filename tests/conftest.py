"""What every test stands on: no hub, one thread a library, and a bucket for those that ask."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

# Set before any test imports a library that reads them: nothing may ask the hub, and several test
# processes share a few cores.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def s3_bucket() -> Iterator[str]:
    """Make an empty bucket on the S3 server of AWS_ENDPOINT_URL and remove it with all it holds."""
    if "AWS_ENDPOINT_URL" not in os.environ:
        pytest.fail("tests marked s3 need AWS_ENDPOINT_URL; `make test-s3` starts a server")
    import boto3

    name = f"redepth-{uuid.uuid4().hex}"
    bucket = boto3.resource("s3").create_bucket(Bucket=name)
    yield name
    bucket.objects.delete()
    bucket.delete()
