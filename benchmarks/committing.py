"""Seconds a shard to an S3 server: packed and committed, beside raw PUTs of the same objects.

Run `infra/s3/with_server.sh python -m benchmarks.committing`, or without the script on the server
of AWS_ENDPOINT_URL; it prints a Markdown table in a minute, and puts 2.5 GB.

Processes do one or the other, one of them or as many as a run has writers: raw PUTs one after
another, or `write_shard` of labels that are in memory. Both begin with their modules imported and
their connections open.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context

import boto3
import numpy as np

from redepth.cluster.pool import NUM_WRITERS
from redepth.config import Storage
from redepth.quantities import ALWAYS
from redepth.store.manifest import ShardPlan
from redepth.store.objects import open_objects
from redepth.store.shards import write_shard
from redepth.types import DepthKind, ImageRef, Label, LabelArrays, LabelRow, Outcome

SHARDS, IMAGES_PER_SHARD = 8, 32


@cache
def labels() -> list[Label]:
    """Return the labels of a shard, whose maps pack to two thirds."""
    draws = np.random.default_rng(0)
    smooth_hw = np.cumsum(draws.random((392, 518), np.float32), axis=0)
    maps = LabelArrays({one: smooth_hw + np.float32(i) for i, one in enumerate(ALWAYS)})
    return [
        Label(
            LabelRow(
                id=f"i{i}",
                uri=f"/i{i}.jpg",
                outcome=Outcome.REFINED,
                kind=DepthKind.AFFINE_DISPARITY,
                height_px=392,
                width_px=518,
            ),
            maps,
        )
        for i in range(IMAGES_PER_SHARD)
    ]


@cache
def objects_of_a_shard(bucket: str) -> tuple[bytes, ...]:
    """Return what committing one shard has put."""
    fs = open_objects(f"s3://{bucket}").fs
    return tuple(fs.cat_file(path) for path in fs.find(f"{bucket}/first"))


def commit(bucket: str, name: str, out: str = "out") -> None:
    """Commit the labels as a shard of that name."""
    images = tuple(ImageRef(label.row.id, label.row.uri) for label in labels())
    write_shard(f"s3://{bucket}/{out}", ShardPlan(name, name, images), labels(), Storage())


def put_raw(bucket: str, name: str) -> None:
    """Put the same objects, one after another."""
    fs = open_objects(f"s3://{bucket}").fs
    for i, content in enumerate(objects_of_a_shard(bucket)):
        fs.pipe_file(f"{bucket}/raw/{name}/{i}", content)


def seconds_a_shard(work: Callable[[str, str], None], bucket: str, num_processes: int) -> float:
    """Return wall seconds a shard with so many processes at work."""
    # Not forked: s3fs has a thread.
    with ProcessPoolExecutor(num_processes, get_context("spawn")) as pool:
        work_here = partial(work, bucket)
        list(pool.map(work_here, [uuid.uuid4().hex for _ in range(2 * num_processes)]))
        started = time.perf_counter()
        list(pool.map(work_here, [uuid.uuid4().hex for _ in range(SHARDS)]))
        return (time.perf_counter() - started) / SHARDS


def main() -> None:
    """Print the table."""
    bucket = f"redepth-{uuid.uuid4().hex}"
    boto3.resource("s3").create_bucket(Bucket=bucket)
    commit(bucket, "s", out="first")
    stored = objects_of_a_shard(bucket)
    num_mb = sum(map(len, stored)) / 1e6
    print(f"\n| a shard: {len(stored)} objects, {num_mb:.1f} MB | s | MB/s | of raw PUTs |")
    print("|---|---:|---:|---:|")
    for number in (1, NUM_WRITERS):
        raw, committed = (seconds_a_shard(work, bucket, number) for work in (put_raw, commit))
        for words, took in (("raw PUTs", raw), ("packed and committed", committed)):
            rate, share = num_mb / took, raw / took
            print(f"| {words}, {number} at a time | {took:.3f} | {rate:.0f} | {share:.0%} |")
    boto3.resource("s3").Bucket(bucket).objects.delete()
    boto3.resource("s3").Bucket(bucket).delete()


if __name__ == "__main__":
    main()
