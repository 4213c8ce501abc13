"""The policy lets redepth do what it asks a bucket for, and no more than that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
import s3fs

from flows.doctor import Subject, Verdict, check_output
from redepth.config import Deployment, LeaseSettings
from redepth.errors import ImageRejected
from redepth.images.collection import list_images
from redepth.images.decode import read_image
from redepth.store.cleaning import find_leftovers, remove_leftovers
from redepth.store.dataset import begin
from redepth.store.lease import output_lease
from redepth.store.objects import open_objects
from redepth.store.verification import verify_labels
from tests.infra.recorded_s3 import Bucket, recorded_s3
from tests.store.store_samples import CARD, commit_all, images, recipe

POLICY = Path(__file__).resolve().parents[2] / "infra" / "aws" / "labels-policy.json"
OUT = "s3://labels/out"


def allowed(bucket: str) -> set[str]:
    statements = json.loads(POLICY.read_text(encoding="utf-8"))["Statement"]
    named = [s for s in statements if any(bucket in r for r in s["Resource"])]
    return {action for statement in named for action in statement["Action"]}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with recorded_s3() as bucket, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", bucket.url)
        patch.setenv("AWS_ALLOW_HTTP", "true")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
        s3fs.S3FileSystem.clear_instance_cache()
        yield bucket
        s3fs.S3FileSystem.clear_instance_cache()


def test_labels_need_what_the_policy_allows_and_no_more(bucket: Bucket) -> None:
    """A run, its lease, a look at all, the doctor, and cleaning up."""
    with output_lease(OUT, LeaseSettings(), "test", lambda words: None):
        begin(OUT, recipe(), [CARD])
        commit_all(OUT, images(6), recipe())
    assert verify_labels(OUT).num_problems == 0
    open_objects(OUT).put("arrays/dead/zarr.json", b"{}")
    boto3.client("s3").create_multipart_upload(Bucket="labels", Key="out/arrays/part")
    subject = Subject(recipe(), Deployment(out=OUT))
    assert check_output(subject).verdict is Verdict.GOOD
    later = datetime.now(UTC) + timedelta(days=2)
    left = find_leftovers(OUT, timedelta(days=1), later)
    assert {one.upload_id is None for one in left} == {True, False}
    assert list(remove_leftovers(OUT, left)) == left
    assert find_leftovers(OUT, timedelta(days=1), later) == []
    assert bucket.unknown == []
    assert bucket.needed == allowed("LABELS-BUCKET")


def test_photographs_are_listed_and_read_and_no_more(bucket: Bucket) -> None:
    bucket.objects["folder/a.png"] = b"no picture"
    (found,) = list_images("s3://photos/folder", None)
    with pytest.raises(ImageRejected):
        read_image(found, recipe().labels.decoding)
    assert bucket.unknown == []
    assert bucket.needed == allowed("PHOTOS-BUCKET")


def test_uploads_are_listed_where_the_bucket_is_meant() -> None:
    statements = json.loads(POLICY.read_text(encoding="utf-8"))["Statement"]
    (uploads,) = (s for s in statements if "s3:ListBucketMultipartUploads" in s["Action"])
    assert uploads["Resource"] == ["arn:aws:s3:::LABELS-BUCKET"], "of a bucket, not of its objects"
