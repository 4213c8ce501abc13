"""The policy lets redepth do what it asks a bucket for, and no more than that."""

from __future__ import annotations

import json
from pathlib import Path

POLICY = Path(__file__).resolve().parents[2] / "infra" / "aws" / "labels-policy.json"
# What the code asks for: listings, reads, puts (in parts, too), what doctor and clean remove.
OF_LABELS = {
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:GetObject",
    "s3:PutObject",
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
}


def allowed(bucket: str) -> set[str]:
    statements = json.loads(POLICY.read_text(encoding="utf-8"))["Statement"]
    named = [s for s in statements if any(bucket in r for r in s["Resource"])]
    return {action for statement in named for action in statement["Action"]}


def test_labels_are_read_written_and_cleaned() -> None:
    assert allowed("LABELS-BUCKET") == OF_LABELS


def test_photographs_are_read_alone() -> None:
    assert allowed("PHOTOS-BUCKET") == {"s3:ListBucket", "s3:GetObject"}


def test_uploads_are_listed_where_the_bucket_is_meant() -> None:
    statements = json.loads(POLICY.read_text(encoding="utf-8"))["Statement"]
    (uploads,) = (s for s in statements if "s3:ListBucketMultipartUploads" in s["Action"])
    assert uploads["Resource"] == ["arn:aws:s3:::LABELS-BUCKET"], "of a bucket, not of its objects"
