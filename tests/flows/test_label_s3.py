"""The main job in and out of a real S3 server, through the real command line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import boto3
import duckdb
import fsspec
import numpy as np
import pyarrow.dataset as pads
import pytest
import xarray as xr
from PIL import Image

from redepth.store.reader import open_labels
from redepth.types import Outcome

pytestmark = [pytest.mark.s3, pytest.mark.timeout(600)]

REDEPTH = Path(sys.executable).with_name("redepth")
RECIPE = ("--recipe=mini-coarse", "--set=labels.coarse.size_px=56")
LABELLING = (*RECIPE, "--actors=1")
NUM_PHOTOS = 4
PROMPT_S = 10
WRONG_SECRET = "a-wrong-secret-that-nobody-should-read"
NOBODY_LISTENS = "http://127.0.0.1:9"
# A user sets endpoint, key and secret; what else the server's script exports is for other clients.
NOT_NEEDED = ("AWS_ALLOW_HTTP", "AWS_DEFAULT_REGION", "AWS_REQUEST_CHECKSUM_CALCULATION")


@dataclass(frozen=True, slots=True)
class Said:
    """What a run of the command line said, and how long it took."""

    out: str
    err: str
    seconds: float


Redepth = Callable[..., Said]


@pytest.fixture(scope="module")
def redepth(tmp_path_factory: pytest.TempPathFactory) -> Redepth:
    """Return what runs `redepth` at a home of its own; no secret may show, no traceback either."""
    home = tmp_path_factory.mktemp("home")
    ours = {"HOME": str(home), "PREFECT_HOME": str(home / "prefect")}
    ours["AWS_EC2_METADATA_DISABLED"] = "true"  # or a cloud machine would find credentials

    def run(*arguments: object, code: int = 0, **changed: str | None) -> Said:
        wanted: dict[str, str | None] = {**os.environ, **dict.fromkeys(NOT_NEEDED)}
        wanted |= {**ours, **changed}
        environment = {name: value for name, value in wanted.items() if value is not None}
        command = [str(REDEPTH), *map(str, arguments)]
        started = time.monotonic()
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        said = Said(done.stdout, done.stderr, time.monotonic() - started)
        both = done.stdout + done.stderr
        assert done.returncode == code, both
        assert "Traceback" not in both
        assert os.environ["AWS_SECRET_ACCESS_KEY"] not in both
        assert WRONG_SECRET not in both
        return said

    return run


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of four photographs and a file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(NUM_PHOTOS):
        pixels_hw3 = np.random.default_rng(i).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels_hw3).resize((96, 64)).save(folder / f"{i:04d}.jpg")
    whole = (folder / "0000.jpg").read_bytes()
    (folder / "corrupt.jpg").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="module")
def bucket(new_bucket: Callable[[], str], photos: Path) -> str:
    """Return a bucket that holds the photographs below photos/."""
    name = new_bucket()
    for path in photos.iterdir():
        boto3.client("s3").upload_file(str(path), name, f"photos/{path.name}")
    return name


@pytest.fixture(scope="module")
def labels(bucket: str, redepth: Redepth) -> str:
    """Label from the bucket into the bucket; return the output's URL."""
    url = f"s3://{bucket}/labels"
    redepth("label", f"s3://{bucket}/photos", "--out", url, *LABELLING)
    return url


def keys(bucket: str) -> set[str]:
    return {entry.key for entry in boto3.resource("s3").Bucket(bucket).objects.all()}


def objects_below(url: str) -> dict[str, bytes]:
    """Return every object below a URL or a folder, by its name there."""
    filesystem, root = fsspec.url_to_fs(url, use_listings_cache=False)
    return {path[len(root) :]: filesystem.cat_file(path) for path in filesystem.find(root)}


def catalogue(url: str) -> list[dict[str, object]]:
    """Return the rows of an output but for what two equal runs may differ in."""
    table = open_labels(url).table()
    rows: list[dict[str, object]] = table.drop_columns("seconds").sort_by("id").to_pylist()
    return rows


def assert_labels_all(url: str, photos: str) -> None:
    labels = open_labels(url)
    names = [*(f"{i:04d}.jpg" for i in range(NUM_PHOTOS)), "corrupt.jpg"]
    assert sorted(labels[i].row.uri for i in labels) == [f"{photos}/{name}" for name in names]
    assert labels.count_outcomes()[Outcome.REFINED] == NUM_PHOTOS
    rejected = labels[labels.find("corrupt.jpg")].row
    assert rejected.outcome is Outcome.REJECTED
    assert rejected.reason is not None and "truncated" in rejected.reason
    for i in range(NUM_PHOTOS):
        label = labels[labels.find(f"{i:04d}.jpg")]
        assert label.refined.shape == (label.row.height_px, label.row.width_px)
        assert np.isfinite(label.refined).all()
        assert label.refined.std() > 0


def test_a_dry_run_writes_nothing(bucket: str, redepth: Redepth) -> None:
    before = keys(bucket)
    source, out = f"s3://{bucket}/photos", f"s3://{bucket}/dry"
    for command in (("label", source, "--dry-run"), ("plan", source)):
        said = redepth(*command, "--out", out, *RECIPE)
        assert f"{NUM_PHOTOS + 1} images" in said.out
        assert said.seconds < PROMPT_S
    assert keys(bucket) == before


def test_from_s3_to_s3(labels: str, bucket: str) -> None:
    assert_labels_all(labels, f"s3://{bucket}/photos")


def test_s3_and_a_folder_hold_the_same_bytes(
    labels: str, bucket: str, redepth: Redepth, tmp_path: Path
) -> None:
    out = tmp_path / "labels"
    redepth("label", f"s3://{bucket}/photos", "--out", out, *LABELLING)
    assert catalogue(str(out)) == catalogue(labels)
    stored = objects_below(f"{labels}/arrays")
    assert stored == objects_below(f"{out}/arrays")
    assert len(stored) > 4


def test_other_programs_read_straight_from_s3(labels: str) -> None:
    rows = pads.dataset(f"{labels}/labels").to_table()
    assert rows.num_rows == NUM_PHOTOS + 1
    with duckdb.connect() as database:
        database.register_filesystem(fsspec.filesystem("s3"))
        query = f"SELECT outcome, count(*) FROM '{labels}/labels/*.parquet' GROUP BY ALL"
        assert dict(database.sql(query).fetchall()) == {"refined": NUM_PHOTOS, "rejected": 1}
    row = next(row for row in rows.to_pylist() if row["array_group"])
    with xr.open_zarr(f"{labels}/arrays/{row['array_group']}", consolidated=False) as arrays:
        map_hw = arrays["refined"][row["array_index"], : row["height_px"], : row["width_px"]]
        assert np.array_equal(map_hw.values, open_labels(labels)[row["id"]].refined)


def test_a_second_run_has_nothing_to_do(labels: str, bucket: str, redepth: Redepth) -> None:
    before = objects_below(labels)
    said = redepth("label", f"s3://{bucket}/photos", "--out", labels, *LABELLING)
    assert "Nothing to do" in said.out
    assert said.seconds < PROMPT_S
    assert objects_below(labels) == before


def test_status_plan_and_show(labels: str, bucket: str, redepth: Redepth, tmp_path: Path) -> None:
    lines = [line.split() for line in redepth("status", labels).out.splitlines()]
    assert ["refined", str(NUM_PHOTOS)] in lines
    assert ["rejected", "1"] in lines
    assert ["left", "0"] in lines
    assert "to do" in redepth("plan", f"s3://{bucket}/photos", "--out", labels, *RECIPE).out
    png = tmp_path / "label.png"
    assert f"s3://{bucket}/photos/0002.jpg" in redepth("show", labels, "0002", "--png", png).out
    with Image.open(png) as picture:
        assert picture.width > 4 * 56


def test_from_a_folder_to_s3(bucket: str, photos: Path, redepth: Redepth) -> None:
    out = f"s3://{bucket}/of-a-folder"
    redepth("label", photos, "--out", out, *LABELLING)
    assert_labels_all(out, str(photos))


@pytest.mark.parametrize("recipe", ["betterdepth-mini", "sharpdepth-mini"])
def test_a_trained_refiner_into_s3(bucket: str, redepth: Redepth, recipe: str) -> None:
    out = f"s3://{bucket}/{recipe}"
    source = f"s3://{bucket}/photos"
    redepth("label", source, "--out", out, f"--recipe={recipe}", "--actors=1")
    assert_labels_all(out, source)
    label = open_labels(out)[open_labels(out).find("0001.jpg")]
    assert label.row.num_members == 4
    assert np.isfinite(label.confidence).all()
    assert label.confidence.std() > 0
    assert not np.array_equal(label.refined, label.coarse)


def test_a_list_on_s3(bucket: str, redepth: Redepth, tmp_path: Path) -> None:
    text = f"uri,id,caption\nphotos/0003.jpg,third,a field\ns3://{bucket}/photos/0001.jpg,,\n"
    boto3.client("s3").put_object(Bucket=bucket, Key="some.csv", Body=text.encode())
    out = tmp_path / "labels"
    redepth("label", f"s3://{bucket}/some.csv", "--out", out, *LABELLING)
    rows = sorted(label.row.uri for label in open_labels(str(out)).values())
    assert rows == [f"s3://{bucket}/photos/{name}" for name in ("0001.jpg", "0003.jpg")]
    assert open_labels(str(out))["third"].refined.std() > 0


def test_nothing_that_was_stored_holds_a_secret(labels: str) -> None:
    stored = objects_below(labels)
    assert "/dataset.json" in stored
    secret = os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    assert [name for name, content in stored.items() if secret in content] == []


NO_CREDENTIALS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


@pytest.mark.parametrize("place", ["source", "list", "image", "out", "status"])
@pytest.mark.parametrize(
    ("bucket_name", "changed", "said"),
    [
        (None, {"AWS_SECRET_ACCESS_KEY": WRONG_SECRET}, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACC"),
        (None, {"AWS_ACCESS_KEY_ID": "nobody"}, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACC"),
        (None, NO_CREDENTIALS, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACC"),
        (None, {"AWS_ENDPOINT_URL": NOBODY_LISTENS}, "no storage answers there"),
        (None, {"AWS_ENDPOINT_URL": "127.0.0.1"}, "Invalid endpoint"),
        ("redepth-no-such-bucket", {}, "create the bucket first"),
    ],
    ids=["wrong secret", "wrong key", "no credentials", "down", "no URL", "no bucket"],
)
def test_what_the_user_has_to_mend(
    place: str,
    bucket_name: str | None,
    changed: Mapping[str, str | None],
    said: str,
    bucket: str,
    photos: Path,
    redepth: Redepth,
    tmp_path: Path,
) -> None:
    url = f"s3://{bucket_name or bucket}"
    command = {
        "source": ("label", f"{url}/photos", "--out", tmp_path, *LABELLING),
        "list": ("label", f"{url}/list.csv", "--out", tmp_path, *LABELLING),
        "image": ("label", f"{url}/photos/0000.jpg", "--out", tmp_path, *LABELLING),
        "out": ("label", photos, "--out", f"{url}/labels", *LABELLING),
        "status": ("status", f"{url}/labels"),
    }[place]
    told = redepth(*command, code=2, **changed)
    assert told.err.startswith(f"error: {url}/")
    assert told.err.count("\n") == 1
    assert said in told.err
    assert told.out == ""
    assert told.seconds < PROMPT_S
    assert list(tmp_path.iterdir()) == []
