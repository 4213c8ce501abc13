"""The S3 server of infra/s3 keeps the promises that the store relies on."""

from __future__ import annotations

import boto3
import obstore
import pytest
import s3fs
from botocore.exceptions import ClientError
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

pytestmark = pytest.mark.s3


def test_s3fs_reads_and_lists_what_it_put(s3_bucket: str) -> None:
    files = s3fs.S3FileSystem(skip_instance_cache=True)
    files.pipe_file(f"{s3_bucket}/a/one", b"first")
    files.pipe_file(f"{s3_bucket}/a/two", b"second")
    assert files.ls(f"{s3_bucket}/a") == [f"{s3_bucket}/a/one", f"{s3_bucket}/a/two"]
    assert files.cat_file(f"{s3_bucket}/a/two") == b"second"


def test_obstore_sees_what_s3fs_put(s3_bucket: str) -> None:
    s3fs.S3FileSystem(skip_instance_cache=True).pipe_file(f"{s3_bucket}/a/one", b"first")
    store = S3Store(s3_bucket)
    assert [entry["path"] for entry in obstore.list(store).collect()] == ["a/one"]
    assert bytes(obstore.get(store, "a/one").bytes()) == b"first"


def test_an_existing_object_is_not_created_again(s3_bucket: str) -> None:
    store = S3Store(s3_bucket)
    obstore.put(store, "commit", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, "commit", b"second", mode="create")
    assert bytes(obstore.get(store, "commit").bytes()) == b"first"


def test_an_unfinished_upload_is_not_listed(s3_bucket: str) -> None:
    client = boto3.client("s3")
    upload = client.create_multipart_upload(Bucket=s3_bucket, Key="part")["UploadId"]
    client.upload_part(Bucket=s3_bucket, Key="part", UploadId=upload, PartNumber=1, Body=b"half")
    assert client.list_objects_v2(Bucket=s3_bucket)["KeyCount"] == 0
    client.abort_multipart_upload(Bucket=s3_bucket, Key="part", UploadId=upload)


def test_a_wrong_secret_is_refused(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        boto3.session.Session().client("s3").list_objects_v2(Bucket=s3_bucket)
    with pytest.raises(PermissionError):
        s3fs.S3FileSystem(skip_instance_cache=True).ls(s3_bucket)
