"""What a run costs its driver as it grows: plans over a million names, and up to 64 actors.

Run `python -m benchmarks.scale [plans] [actors]`; it prints Markdown tables in some minutes.

Plans: a synthetic listing, sizes and versions told, into an empty output and over one in which all
are committed (in parts of 32), each in a process of its own, for three sizes. The making of the
listing is part of a plan's seconds; what it takes alone stands beside them. `beyond` is the peak of
memory less what the process had before it planned.
Actors: a labeller that sleeps a second, so that what is measured is how busy the pool
keeps them. Efficiency is actor-seconds asleep over actor-seconds there were, from the first image
submitted to the last one done, the actors being up.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from redepth.config import Actors, LabelSettings, Recipe, RunSettings
from redepth.store import layout
from redepth.store.planning import plan_labels
from redepth.store.rows import encode_part
from redepth.types import ImageRef, Label, LabelRow, ModelCard, Outcome

if TYPE_CHECKING:
    from redepth.cluster.pool import LabelPool

NUM_NAMES = (100_000, 300_000, 1_000_000)
PER_SHARD = 32
NUM_ACTORS = (1, 2, 4, 8, 16, 32, 64)
IMAGES_PER_ACTOR = 40
RECIPE = Recipe(name="scale")


def listing(number: int = NUM_NAMES[-1]) -> Iterator[ImageRef]:
    """Yield so many images, as the listing of a bucket tells them."""
    for i in range(number):
        digest = f"{i * 0x9E3779B97F4A7C15 % 2**64:016x}"  # spread as digests are
        uri = f"s3://bucket/photographs/{i // 1000:06}/{i:09}.jpg"
        yield ImageRef(f"{i:09}-{digest}", uri, 100_000 + i, digest)


def write_committed(out: Path, number: int) -> None:
    """Write the label parts that a run over the listing leaves, without any arrays."""
    folder = out / layout.LABELS
    folder.mkdir(parents=True)
    images = listing(number)
    while shard := list(islice(images, PER_SHARD)):
        name = layout.shard_id(RECIPE.labels.digest(), [ref.id for ref in shard])
        rows = [
            LabelRow(
                id=ref.id,
                uri=ref.uri,
                outcome=Outcome.REJECTED,
                reason="synthetic",
                size_bytes=ref.size_bytes,
                version=ref.version,
                shard=name,
            )
            for ref in shard
        ]
        (folder / f"{name}.parquet").write_bytes(encode_part(rows, [name]))


def plan_once(out: str, number: int, write: bool) -> str:
    """Plan in this process; return a table's line."""
    cpu = time.process_time()
    for _ in listing(number):
        pass
    listing_cpu = time.process_time() - cpu
    before_mb = psutil.Process().memory_info().rss / 1e6
    started, cpu = time.perf_counter(), time.process_time()
    plan = plan_labels(listing(number), out, RECIPE, write=write)
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert plan.num_changed == 0 and plan.num_listed == number
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return (
        f"{plan.num_pending} | {plan.num_done} | {took:.1f} | {cpu:.1f} | {listing_cpu:.1f} | "
        f"{peak_mb:.0f} | {peak_mb - before_mb:.0f} |"
    )


def plans() -> None:
    print("\n| plan | to do | done | s | CPU s | listing alone, CPU s | peak MB | beyond, MB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for number in NUM_NAMES:
        with tempfile.TemporaryDirectory() as temporary:
            empty, committed = Path(temporary) / "empty", Path(temporary) / "committed"
            write_committed(committed, number)
            for words, out, write in (
                ("nothing committed", empty, True),
                ("all committed, no index", committed, True),
                ("all committed, with the index that left", committed, False),
            ):
                call = f"plan_once({str(out)!r}, {number}, {write})"
                code = f"from benchmarks.scale import *; print({call})"
                done = subprocess.run(
                    [sys.executable, "-c", code], check=True, capture_output=True, text=True
                )
                print(f"| {words} | {done.stdout.strip()}", flush=True)


class Sleeper:
    """Label an image by sleeping a second."""

    cards = (ModelCard("coarse", "sleeper", "a benchmark", None, "0" * 64, "none", untrained=True),)

    def label(self, ref: ImageRef) -> Label:
        time.sleep(1.0)
        return Label(
            LabelRow(
                id=ref.id,
                uri=ref.uri,
                outcome=Outcome.REJECTED,
                reason=f"asleep in {os.getpid()}",
                seconds=1.0,
            )
        )


def load_sleeper(settings: LabelSettings) -> Sleeper:
    return Sleeper()


def wait_for_all(pool: LabelPool, images: Sequence[ImageRef]) -> None:
    """Wait until there are as many actors at work as images: a pool begins with the first."""
    processes: set[str | None] = set()
    while len(processes) < len(images):
        processes |= {f.result().row.reason for f in [pool.submit(image) for image in images]}


def actors() -> None:
    from redepth.cluster.pool import LabelPool
    from redepth.cluster.session import ray_session

    print("\n| actors | images | efficiency | driver CPU, share of a core | driver MB |")
    print("|---:|---:|---:|---:|---:|")
    driver = psutil.Process()
    for number in NUM_ACTORS:
        settings = Actors(num_actors=number, num_cpus=0.01)
        recipe = Recipe(name="scale", run=RunSettings(actors=settings))
        images = list(islice(listing(), number * IMAGES_PER_ACTOR))
        with ray_session(None, settings), LabelPool(recipe, load_sleeper) as pool:  # type: ignore[arg-type]
            wait_for_all(pool, images[:number])
            started, cpu = time.perf_counter(), sum(driver.cpu_times()[:2])
            for future in [pool.submit(image) for image in images]:
                future.result()
            took, cpu = time.perf_counter() - started, sum(driver.cpu_times()[:2]) - cpu
        efficiency = len(images) / (number * took)
        memory_mb = driver.memory_info().rss / 1e6
        print(
            f"| {number} | {len(images)} | {efficiency:.1%} | {cpu / took:.3f} | {memory_mb:.0f} |",
            flush=True,
        )


def main() -> None:
    chosen = sys.argv[1:] or ["plans", "actors"]
    if "plans" in chosen:
        plans()
    if "actors" in chosen:
        actors()


if __name__ == "__main__":
    main()
