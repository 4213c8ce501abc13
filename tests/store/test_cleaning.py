"""What is left over is found, and nothing else is removed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from redepth.errors import TransientError
from redepth.store import layout
from redepth.store.cleaning import Leftover, find_leftovers, remove_leftovers
from redepth.store.dataset import begin
from redepth.store.objects import Objects, open_objects
from redepth.store.planning import plan_labels
from redepth.store.shards import write_shard
from redepth.store.verification import verify_labels
from redepth.types import Outcome
from tests.store.store_samples import CARD, commit_all, images, label, recipe, shard_plans

DAY = timedelta(days=1)
TOMORROW = datetime.now(UTC) + DAY + timedelta(hours=1)
STORAGE = recipe().labels.storage


def leave_over(out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit a shard, and be killed before the commit of a second one."""
    begin(out, recipe(), [CARD])
    commit_all(out, images(4), recipe())
    (shard,) = shard_plans(plan_labels(images(8), out, recipe()))
    with monkeypatch.context() as patch:
        patch.setattr(Objects, "put", _killed_before_the_label_part)
        with pytest.raises(TransientError):
            write_shard(out, shard, [label(ref) for ref in shard.images], STORAGE)


def _killed_before_the_label_part(self: Objects, name: str, content: bytes, *_: object) -> None:
    if name.startswith(layout.LABELS):
        raise TransientError("killed")
    with_path = self.full_path(name)
    self.fs.makedirs(with_path.rpartition("/")[0], exist_ok=True)
    self.fs.pipe_file(with_path, content)


def clean(out: str, now: datetime = TOMORROW) -> list[Leftover]:
    return list(remove_leftovers(out, find_leftovers(out, DAY, now)))


def test_a_group_that_no_row_names_is_removed_and_nothing_else(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_over(out, monkeypatch)
    before = verify_labels(out)
    (found,) = find_leftovers(out, DAY, TOMORROW)
    assert found.name.startswith("arrays/") and len(found.objects) == 9 and found.num_bytes > 500
    assert find_leftovers(out, DAY, datetime.now(UTC)) == [], "a run may be at work"
    assert clean(out) == [found]
    assert find_leftovers(out, DAY, TOMORROW) == []
    fs = open_objects(out).fs
    assert not [name for name in fs.find(open_objects(out).path) if found.name in name]
    assert verify_labels(out) == before
    assert before.problems == ()


def test_what_was_left_over_is_done_again_after_cleaning(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_over(out, monkeypatch)
    clean(out)
    commit_all(out, images(8), recipe())
    assert find_leftovers(out, DAY, TOMORROW) == []
    assert verify_labels(out).outcomes[Outcome.REFINED] == 8


def test_the_group_of_labels_that_were_all_tried_again_goes(out: str) -> None:
    begin(out, recipe(), [CARD])
    fell_back = {ref.id: Outcome.FELL_BACK for ref in images(4)}
    commit_all(out, images(4), recipe(), fell_back)
    commit_all(out, images(4), recipe(), retry=[Outcome.FELL_BACK])
    (old,) = clean(out)
    assert ".1-" not in old.name
    assert verify_labels(out).problems == ()


def test_a_group_with_one_row_left_stays(out: str) -> None:
    begin(out, recipe(), [CARD])
    commit_all(out, images(4), recipe(), {images(4)[0].id: Outcome.FELL_BACK})
    commit_all(out, images(4), recipe(), retry=[Outcome.FELL_BACK])
    assert clean(out) == []
    assert verify_labels(out).problems == ()


def test_temporary_files_of_killed_writers_go(tmp_path: Path) -> None:
    out = str(tmp_path)
    begin(out, recipe(), [CARD])
    commit_all(out, images(4), recipe())
    group = next((tmp_path / "arrays").iterdir())
    for path in (tmp_path / "labels" / ".a.parquet.1.tmp", group / ".zarr.json.2.tmp"):
        path.write_bytes(b"half")
    names = [one.name for one in clean(out)]
    assert names == [f"arrays/{group.name}/.zarr.json.2.tmp", "labels/.a.parquet.1.tmp"]
    assert not list(tmp_path.rglob("*.tmp"))
    assert verify_labels(out).problems == ()


def test_what_doctor_left_goes_and_the_lease_of_a_dead_run_stays(out: str) -> None:
    begin(out, recipe(), [CARD])
    commit_all(out, images(4), recipe())
    before = verify_labels(out)
    objects = open_objects(out)
    for name in (f"{layout.PROBE}0123", layout.LEASE):
        objects.put(name, b"left by a killed process")
    assert find_leftovers(out, DAY, datetime.now(UTC)) == [], "doctor may be at work"
    assert [one.name for one in clean(out)] == [f"{layout.PROBE}0123"]
    assert not objects.exists(f"{layout.PROBE}0123")
    assert objects.exists(layout.LEASE)
    assert verify_labels(out) == before
    assert before.problems == ()


@pytest.mark.s3
def test_unfinished_uploads_are_aborted(s3_bucket: str) -> None:
    import boto3

    out = f"s3://{s3_bucket}/labels"
    begin(out, recipe(), [CARD])
    client = boto3.client("s3")
    for key in ("labels/manifest/m.parquet", "other/m.parquet"):
        upload = client.create_multipart_upload(Bucket=s3_bucket, Key=key)["UploadId"]
        client.upload_part(
            Bucket=s3_bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"0" * 1000
        )
    (found,) = clean(out)
    assert found.name == "manifest/m.parquet"
    left = client.list_multipart_uploads(Bucket=s3_bucket)["Uploads"]
    assert [upload["Key"] for upload in left] == ["other/m.parquet"]
    client.abort_multipart_upload(
        Bucket=s3_bucket, Key="other/m.parquet", UploadId=left[0]["UploadId"]
    )
