"""Images a second from file to committed label: redepth, a Ray Data pipeline, and a bare loop.

Run `python -m benchmarks.throughput`; it prints a table in some minutes.

Identity refiner at 518 px over a coarse model made tiny (see `benchmarks.main_job`). All
read the same JPEG files, label them with the same `Labeller.label`, guard included, and store the
same maps (float32 and float16). Ray Data runs `map_batches` with a pool of two actors that hold
the models, over the list of files, and writes in two ways: `write_parquet`, flat bytes at the zstd
level of the store and nothing else; and a `Datasink` that writes each block of 32 as redepth does,
same codec, digests, synced files, fragment. Reported is the slope between two sizes of the same
run, so that start-up does not count: images/s, and CPU time an image of all processes, which other
programs on the machine change less; the median over turns.
"""

from __future__ import annotations

import os
import pickle
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from ray.data import Datasink
from ray.data.block import Block, BlockAccessor

if TYPE_CHECKING:
    from redepth.types import Label

from benchmarks.main_job import bare_loop, overrides, pipeline, write_photographs, write_tiny_model

os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray's workers step back behind every other program unless set: the bare loop does not.
os.environ.setdefault("RAY_worker_niceness", "0")

SMALL, LARGE = 128, 768
TURNS = 2
NUM_ACTORS = 2
BATCH = 16
IMAGES_PER_SHARD = 32
CPU_LOOK_S = 0.2
RAY_DATA = ("Ray Data, 2 actors, to Parquet", "Ray Data, 2 actors, as redepth writes")


class RayDataLabeller:
    """What `map_batches` is given: the same labelling; a row as pickle, maps as flat bytes."""

    def __init__(self, photographs: str) -> None:
        from redepth.config import load_recipe
        from redepth.labelling.labeller import load_labeller

        self.labeller = load_labeller(
            load_recipe("mini-coarse", overrides(Path(photographs))).labels
        )

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        from redepth.types import ImageRef

        refs = [
            ImageRef(str(i), str(uri)) for i, uri in zip(batch["id"], batch["uri"], strict=True)
        ]
        return as_columns([self.labeller.label(ref) for ref in refs])


def as_columns(labels: Sequence[Label]) -> dict[str, Any]:
    """Return labels as Ray Data's columns: id, the row as pickle, maps as flat bytes."""
    from redepth.config import Storage
    from redepth.quantities import QUANTITIES
    from redepth.store.arrays import cast_for_storage

    columns: dict[str, list[Any]] = {name: [] for name in ("id", "row", *QUANTITIES)}
    for label in labels:
        assert label.arrays is not None, label.row.reason
        columns["id"].append(label.row.id)
        columns["row"].append(pickle.dumps(label.row))
        for name, map_hw in cast_for_storage(label.row.id, label.arrays, Storage()).items():
            columns[name].append(map_hw.tobytes())
    return columns


class ShardSink(Datasink[None]):
    """Write each block as redepth writes a shard."""

    def __init__(self, out: str) -> None:
        self.out = out

    def write(self, blocks: Iterable[Block], ctx: Any) -> None:
        from redepth.config import Storage
        from redepth.quantities import QUANTITIES
        from redepth.store.arrays import as_stored
        from redepth.store.layout import shard_id
        from redepth.store.manifest import ShardPlan
        from redepth.store.shards import write_shard
        from redepth.types import ImageRef, Label, LabelArrays

        for block in blocks:
            labels = []
            for line in BlockAccessor.for_block(block).to_arrow().to_pylist():
                row = pickle.loads(line["row"])  # noqa: S301  # what this process packed itself
                size_hw = (row.height_px, row.width_px)
                maps = {
                    one: np.frombuffer(line[name], as_stored(one, "float32").dtype)
                    .astype(one.in_memory)
                    .reshape(one.shape(size_hw))
                    for name, one in QUANTITIES.items()
                }
                labels.append(Label(row, LabelArrays(maps)))
            images = tuple(ImageRef(label.row.id, label.row.uri) for label in labels)
            shard = shard_id("", [image.id for image in images])
            write_shard(self.out, ShardPlan(shard, shard, images), labels, Storage())


def ray_data(photographs: Path, out: Path, *, as_redepth: bool) -> float:
    """Label with Ray Data on the instance that is running; return the seconds."""
    import ray
    from ray.data import DataContext

    from redepth.config import Storage
    from redepth.images.collection import list_images

    DataContext.get_current().enable_progress_bars = False
    started = time.perf_counter()
    items = [{"id": ref.id, "uri": ref.uri} for ref in list_images(str(photographs))]
    labelled = ray.data.from_items(
        items, override_num_blocks=len(items) // IMAGES_PER_SHARD
    ).map_batches(
        RayDataLabeller,
        fn_constructor_args=(str(photographs),),
        batch_size=BATCH,
        concurrency=NUM_ACTORS,
        num_cpus=0.5,
    )
    if as_redepth:
        labelled.write_datasink(ShardSink(str(out)))
    else:
        level = 2 * Storage().compression_level - 1  # what Blosc's level is of zstd
        labelled.write_parquet(str(out), compression="zstd", compression_level=level)
    return time.perf_counter() - started


class CpuTime:
    """The CPU seconds of this process and all below it, those that ended included."""

    def __init__(self) -> None:
        self._of_processes: dict[tuple[int, float], float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(CPU_LOOK_S):
            self._look()

    def _look(self) -> None:
        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            with suppress(psutil.Error):
                times = process.cpu_times()
                key = (process.pid, process.create_time())
                self._of_processes[key] = times.user + times.system

    def seconds(self) -> float:
        self._look()
        return sum(self._of_processes.values())

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def with_ray(run: Callable[[Path, Path], float]) -> Callable[[Path, Path], float]:
    """Give a run a private Ray of its own, started before the clock is."""
    from redepth.cluster.session import ray_session
    from redepth.config import Actors

    def own(photographs: Path, out: Path) -> float:
        with ray_session(None, Actors(num_actors=NUM_ACTORS)):
            return run(photographs, out)

    return own


def slope(root: Path, run: Callable[[Path, Path], float]) -> tuple[float, float]:
    """Return images a second, and CPU ms an image, that a longer run has beyond a shorter one."""
    seconds, cpu_seconds = [], []
    for number in (SMALL, LARGE):
        cpu = CpuTime()
        before = cpu.seconds()
        seconds.append(run(root / f"photographs-{number}", root / uuid.uuid4().hex))
        cpu_seconds.append(cpu.seconds() - before)
        cpu.end()
    num_more = LARGE - SMALL
    return num_more / float(np.diff(seconds)[0]), float(np.diff(cpu_seconds)[0]) * 1e3 / num_more


def main() -> None:
    from flows.embedded_server import quieten_prefect, start_prefect_server

    quieten_prefect()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_tiny_model(root / "tiny")
        for number in (SMALL, LARGE):
            write_photographs(root / f"photographs-{number}", number)
        os.environ["PREFECT_HOME"] = str(root / "prefect")
        start_prefect_server()
        ours = f"redepth, {NUM_ACTORS} actors"
        parquet, as_redepth = RAY_DATA
        runs: dict[str, Callable[[Path, Path], float]] = {
            "bare loop, 1 process": bare_loop,
            parquet: with_ray(partial(ray_data, as_redepth=False)),
            as_redepth: with_ray(partial(ray_data, as_redepth=True)),
            ours: lambda p, o: pipeline(p, o, NUM_ACTORS),
        }
        turns: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for _ in range(TURNS):
            for name, run in runs.items():
                turns[name].append(slope(root, run))
                rate, cpu_ms = turns[name][-1]
                load = os.getloadavg()[0]
                words = f"{rate:.1f} images/s, {cpu_ms:.0f} CPU ms an image, load {load:.1f}"
                print(f"{name}: {words}", file=sys.stderr, flush=True)
    print("\n| run | images/s | of the turns | of the bare loop | CPU ms an image |")
    print("|---|---:|---:|---:|---:|")
    rates = {name: statistics.median(rate for rate, _ in found) for name, found in turns.items()}
    bare = rates["bare loop, 1 process"]
    for name, found in turns.items():
        low, *_, high = sorted(rate for rate, _ in found)
        cpu_ms = statistics.median(cpu for _, cpu in found)
        print(
            f"| {name} | {rates[name]:.1f} | {low:.1f} to {high:.1f} | "
            f"{rates[name] / bare:.0%} | {cpu_ms:.0f} |"
        )
    for name in RAY_DATA:
        print(f"\n{ours}: {rates[ours] / rates[name]:.2f} times {name}")


if __name__ == "__main__":
    main()
