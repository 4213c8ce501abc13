"""What a plan over a million names takes.

Run `python -m benchmarks.scale`; it prints a Markdown table in some minutes.

A synthetic listing, sizes and versions told, into an empty output and over one in which all
are committed (in parts of 32), each in a process of its own, for three sizes. The making of the
listing is part of a plan's seconds; what it takes alone stands beside them. `beyond` is the peak of
memory less what the process had before it planned.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import psutil

from redepth.config import Recipe
from redepth.store import layout
from redepth.store.planning import draft_plan
from redepth.store.rows import encode_fragment
from redepth.types import ImageRef, LabelRow, Outcome

NUM_NAMES = (100_000, 300_000, 1_000_000)
PER_SHARD = 32
RECIPE = Recipe(name="scale")


def listing(number: int = NUM_NAMES[-1]) -> Iterator[ImageRef]:
    """Yield so many images, as the listing of a bucket tells them."""
    for i in range(number):
        digest = f"{i * 0x9E3779B97F4A7C15 % 2**64:016x}"  # spread as digests are
        name = f"{i:09}"
        uri = f"s3://bucket/photographs/{name[:6]}/{name}.jpg"
        yield ImageRef(f"{name}-{digest}", uri, 100_000 + i, digest)


def write_committed(out: Path, number: int) -> None:
    """Write the fragments that a run over the listing leaves, without any arrays."""
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
        (folder / f"{name}.parquet").write_bytes(encode_fragment(rows, [name]))


def plan_once(out: str, number: int, write: bool) -> str:
    """Plan in this process; return a table's line."""
    cpu = time.process_time()
    for _ in listing(number):
        pass
    listing_cpu = time.process_time() - cpu
    before_mb = psutil.Process().memory_info().rss / 1e6
    started, cpu = time.perf_counter(), time.process_time()
    with draft_plan(listing(number), out, RECIPE) as draft:
        plan = draft.publish() if write else draft.plan
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert plan.num_changed == 0 and plan.num_listed == number
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return (
        f"{plan.num_pending} | {plan.num_done} | {took:.1f} | {cpu:.1f} | {listing_cpu:.1f} | "
        f"{peak_mb:.0f} | {peak_mb - before_mb:.0f} |"
    )


def main() -> None:
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


if __name__ == "__main__":
    main()
