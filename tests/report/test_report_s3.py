"""The report on a real S3 server: read from a bucket, and shown from one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import boto3
import fsspec
import pytest

from redepth.config import Cost
from redepth.report.page import render_page
from redepth.report.page_data import read_page
from tasks.publish_report import store_report
from tests.report import report_samples

pytestmark = pytest.mark.s3


def test_a_page_of_a_bucket_lies_in_the_bucket_as_html(tmp_path: Path, s3_bucket: str) -> None:
    out = f"s3://{s3_bucket}/labels"
    fsspec.filesystem("s3").put(report_samples.write_output(tmp_path), out, recursive=True)
    page = read_page(out, Cost.model_validate({}), datetime.now(UTC))
    assert (page.num_images, len(page.gallery.cards)) == (7, 6)
    manifest = f"{out}/manifest/00000007-20260102T030405000006Z-abcdef012345.parquet"
    url = store_report(out, manifest, "index.html", render_page(page).encode())
    assert url == f"{out}/reports/00000007-20260102T030405000006Z-abcdef012345/index.html"
    key = url.removeprefix(f"s3://{s3_bucket}/")
    stored = boto3.client("s3").head_object(Bucket=s3_bucket, Key=key)
    assert stored["ContentType"] == "text/html"
