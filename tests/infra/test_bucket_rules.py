"""The life-cycle rules are taken by a real S3 server, and are those that were meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.s3

RULES = Path(__file__).resolve().parents[2] / "infra" / "aws" / "lifecycle.json"


def test_a_server_takes_the_rules(s3_bucket: str) -> None:
    import boto3

    client = boto3.client("s3")
    rules = json.loads(RULES.read_text(encoding="utf-8"))
    client.put_bucket_lifecycle_configuration(Bucket=s3_bucket, LifecycleConfiguration=rules)
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket=s3_bucket)["Rules"]
    assert rule["Status"] == "Enabled"
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    assert "Expiration" not in rule, "labels stay"
