"""Images a second from file to committed label: redepth, a Ray Data pipeline, and a bare loop.

Run `python -m benchmarks.throughput [labels] [busy] [s3]`; it prints tables in some minutes.

labels: identity refiner at 518 px over a coarse model made tiny (see `benchmarks.main_job`). All
three read, decode and estimate the same JPEG files with the same code and store the same four maps
with zstd. Ray Data has the pieces that its documentation names: `read_binary_files`, `map_batches`
with a pool of two actors that hold the model, and `write_parquet`. Reported is the slope between
two sizes of the same run, so that start-up does not count, as the median over turns.

busy: two actors that sleep a second an image: the share of the time they are busy.

s3: committing shards to the server of AWS_ENDPOINT_URL, beside PUTs of the same bytes.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.main_job import bare_loop, overrides, pipeline, write_photographs, write_tiny_model

os.environ.setdefault("OMP_NUM_THREADS", "1")

SMALL, LARGE = 64, 320
TURNS = 3
NUM_ACTORS = 2
BATCH = 16
SHARDS, IMAGES_PER_SHARD = 8, 32


class RayDataLabeller:
    """What `map_batches` is given: the same labelling, maps as flat bytes for Parquet."""

    def __init__(self, photographs: str) -> None:
        from redepth.config import load_recipe
        from redepth.pipeline import load_labeller

        self.labeller = load_labeller(
            load_recipe("mini-coarse", overrides(Path(photographs))).labels
        )

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        from redepth.config import Decoding
        from redepth.images.decode import decode, resize

        columns: dict[str, list[Any]] = {
            name: [] for name in ("coarse", "refined", "spread", "sure")
        }
        shapes = []
        for content in batch["bytes"]:
            image = decode(bytes(content), Decoding())
            size = self.labeller.estimator.processing_size(image.height_px, image.width_px)
            coarse = self.labeller.estimator.estimate(resize(image.rgb_hw3, *size)).map_hw
            absent = np.full(coarse.shape, np.nan, np.float16)
            for name, map_hw in zip(columns, (coarse, coarse, absent, absent), strict=True):
                columns[name].append(map_hw.tobytes())
            shapes.append(coarse.shape)
        return {"path": batch["path"], "shape": np.array(shapes), **columns}


def ray_data(photographs: Path, out: Path) -> float:
    """Label with Ray Data on the instance that is running; return the seconds."""
    import ray
    from ray.data import DataContext

    DataContext.get_current().enable_progress_bars = False
    started = time.perf_counter()
    dataset = ray.data.read_binary_files(str(photographs), include_paths=True)
    dataset.map_batches(
        RayDataLabeller,
        fn_constructor_args=(str(photographs),),
        batch_size=BATCH,
        concurrency=NUM_ACTORS,
        num_cpus=0.5,
    ).write_parquet(str(out), compression="zstd")
    return time.perf_counter() - started


def with_ray(run: Callable[[Path, Path], float]) -> Callable[[Path, Path], float]:
    """Give a run a private Ray of its own, started before the clock is."""
    from redepth.cluster.session import ray_session
    from redepth.config import Actors

    def own(photographs: Path, out: Path) -> float:
        with ray_session(None, Actors(num_actors=NUM_ACTORS)):
            return run(photographs, out)

    return own


def labels() -> None:
    from flows.embedded_server import quieten_prefect, start_prefect_server

    quieten_prefect()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_tiny_model(root / "tiny")
        for number in (SMALL, LARGE):
            write_photographs(root / f"photographs-{number}", number)
        os.environ["PREFECT_HOME"] = str(root / "prefect")
        start_prefect_server()
        runs: dict[str, Callable[[Path, Path], float]] = {
            "bare loop, 1 process": bare_loop,
            f"Ray Data, {NUM_ACTORS} actors": with_ray(ray_data),
            f"redepth, {NUM_ACTORS} actors": lambda p, o: pipeline(p, o, NUM_ACTORS),
        }
        rates: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(TURNS):
            for name, run in runs.items():
                rates[name].append(slope(root, run))
                print(f"{name}: {rates[name][-1]:.1f} images/s", file=sys.stderr, flush=True)
    print("\n| run | images/s | of the turns | times Ray Data | of the bare loop |")
    print("|---|---:|---:|---:|---:|")
    bare, of_ray_data, _ = (statistics.median(found) for found in rates.values())
    for name, found in rates.items():
        rate = statistics.median(found)
        print(
            f"| {name} | {rate:.1f} | {min(found):.1f} to {max(found):.1f} | "
            f"{rate / of_ray_data:.2f} | {rate / bare:.0%} |"
        )


def slope(root: Path, run: Callable[[Path, Path], float]) -> float:
    """Return the images a second that a longer run labels beyond a shorter one."""
    seconds = [
        run(root / f"photographs-{number}", root / uuid.uuid4().hex) for number in (SMALL, LARGE)
    ]
    return float((LARGE - SMALL) / np.diff(seconds)[0])


def busy() -> None:
    """Print how busy two actors are that take a second an image, writing of shards included."""
    from benchmarks.scale import listing, load_sleeper
    from redepth.cluster.pool import LabelPool
    from redepth.cluster.session import ray_session
    from redepth.config import Actors, Recipe, RunSettings

    number, per_actor = 2, 60
    settings = Actors(num_actors=number, num_cpus=0.5)
    recipe = Recipe(name="busy", run=RunSettings(actors=settings))
    images = [image for image, _ in zip(listing(), range(number * per_actor), strict=False)]
    with ray_session(None, settings), LabelPool(recipe, load_sleeper) as pool:  # type: ignore[arg-type]
        started = time.perf_counter()
        for future in [pool.submit(image) for image in images]:
            future.result()
        took = time.perf_counter() - started
    print(f"\n{number} actors, 1 s an image: busy {len(images) / (number * took):.1%} of the time")


def s3() -> None:
    """Print how fast shards are committed, beside PUTs of the same bytes one after the other."""
    import boto3

    from redepth.config import Storage
    from redepth.store import arrays
    from redepth.store.manifest import ShardPlan
    from redepth.store.objects import open_objects
    from redepth.store.shards import write_shard
    from redepth.types import DepthKind, ImageRef, Label, LabelArrays, LabelRow, Outcome

    bucket = f"redepth-{uuid.uuid4().hex}"
    boto3.resource("s3").create_bucket(Bucket=bucket)
    draws = np.random.default_rng(0)
    smooth_hw = np.cumsum(draws.random((392, 518), np.float32), axis=0)
    images = [ImageRef(f"i{i}", f"/i{i}.jpg") for i in range(IMAGES_PER_SHARD)]
    row = {"outcome": Outcome.REFINED, "height_px": 392, "width_px": 518}
    maps = LabelArrays(*(smooth_hw + np.float32(i) for i in range(4)))
    made = [
        Label(LabelRow(id=i.id, uri=i.uri, kind=DepthKind.AFFINE_DISPARITY, **row), maps)
        for i in images
    ]
    objects = open_objects(f"s3://{bucket}/out")

    def commit(shard: int) -> float:
        plan = ShardPlan(f"s{shard}", f"s{shard}", tuple(images))
        started = time.perf_counter()
        write_shard(objects.url, plan, made, Storage())
        return time.perf_counter() - started

    def put_raw(shard: int, contents: Mapping[str, bytes]) -> float:
        started = time.perf_counter()
        for name, content in contents.items():
            objects.fs.pipe_file(f"{bucket}/raw/{shard}/{name}", content)
        return time.perf_counter() - started

    def encode_alone() -> float:
        narrowed = [arrays.narrowed(image.id, maps, Storage()) for image in images]
        started = time.perf_counter()
        for _ in arrays.encode_group(narrowed, {}, Storage().compression_level):
            pass
        return time.perf_counter() - started

    commit(-1)
    stored = objects.fs.find(f"{bucket}/out")
    contents = {path.removeprefix(f"{bucket}/out/"): objects.fs.cat_file(path) for path in stored}
    num_mb = sum(map(len, contents.values())) / 1e6
    committed, raw, encoded = [], [], []
    for shard in range(SHARDS):
        committed.append(commit(shard))
        raw.append(put_raw(shard, contents))
        encoded.append(encode_alone())
    took, bare, codec = map(statistics.median, (committed, raw, encoded))
    print(
        f"\n| a shard of {IMAGES_PER_SHARD} images, {num_mb:.1f} MB | s | MB/s |\n|---|---:|---:|"
    )
    print(f"| raw PUTs of its {len(contents)} objects | {bare:.3f} | {num_mb / bare:.0f} |")
    print(f"| encoding alone | {codec:.3f} | {num_mb / codec:.0f} |")
    print(f"| encoded and committed | {took:.3f} | {num_mb / took:.0f} |")
    print(f"\nCommitting is {bare / took:.0%} of raw PUTs.")
    boto3.resource("s3").Bucket(bucket).objects.delete()
    boto3.resource("s3").Bucket(bucket).delete()


def main() -> None:
    for name in sys.argv[1:] or ["labels", "busy"]:
        {"labels": labels, "busy": busy, "s3": s3}[name]()


if __name__ == "__main__":
    main()
