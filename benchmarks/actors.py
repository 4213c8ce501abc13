"""How busy up to 64 actors are kept by the whole flow, and what that takes of its driver.

Run `python -m benchmarks.actors [NUMBER ...]`; it prints a Markdown table in some minutes.

A labeller holds its one model for a second an image; everything around it is the real run: list,
plan, tasks, pool, commits. Efficiency is actor-seconds in the model over actor-seconds there were,
from the first nap to the end of the last one, all actors being up.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NoReturn, Self
from unittest import mock

import psutil
import pyarrow as pa

from benchmarks.scale import listing
from redepth.cluster.pool import ActorPool
from redepth.config import Actors, LabelSettings, Recipe, RunSettings
from redepth.labelling.preparing import Prepared
from redepth.labelling.work import Work
from redepth.types import ImageRef, Label, LabelRow, ModelCard, Outcome

NUM_ACTORS = (1, 2, 4, 8, 16, 32, 64)
IMAGES_PER_ACTOR = 40


class Sleeper:
    """Label an image by sleeping a second; the row says who slept, and from when to when."""

    cards = (ModelCard("coarse", "sleeper", "a benchmark", None, "0" * 64, "none", untrained=True),)

    def __init__(self) -> None:
        self._models = threading.Lock()

    def label(self, ref: ImageRef, before: LabelRow | None, work: Work) -> Label:
        with self._models:
            began = time.time()
            time.sleep(1.0)
            reason = f"{os.getpid()} {began} {time.time()}"
        return Label(LabelRow(id=ref.id, uri=ref.uri, outcome=Outcome.REJECTED, reason=reason))

    @property
    def preparer(self) -> NoReturn:
        raise NotImplementedError("there is nothing to decode")

    def label_prepared(self, prepared: Prepared | Label, work: Work) -> NoReturn:
        raise NotImplementedError("there is nothing to decode")


def load_sleeper(settings: LabelSettings) -> Sleeper:
    return Sleeper()


class SleepingPool(ActorPool):
    """Sleeping actors, all at work before the run begins: a pool begins with the first."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, load_sleeper)

    def __enter__(self) -> Self:
        super().__enter__()
        processes: set[str] = set()
        while len(processes) < self.num_actors:
            asleep = [self.submit(image) for image in listing(self.num_actors)]
            processes |= {str(future.result().row.reason).split()[0] for future in asleep}
        self.began, self.driver_cpu_s = time.time(), driver_cpu_s()
        return self

    def __exit__(self, *error: Any) -> None:
        self.driver_cpu_s = driver_cpu_s() - self.driver_cpu_s
        self.took_s = time.time() - self.began
        super().__exit__(*error)


def driver_cpu_s() -> float:
    return sum(psutil.Process().cpu_times()[:2])


def busy_share(rows: pa.Table, num_actors: int) -> float:
    """Return actor-seconds asleep over those there were between the first nap and the last."""
    naps = [(float(a), float(b)) for _, a, b in map(str.split, rows["reason"].to_pylist())]
    began, ended = min(a for a, _ in naps), max(b for _, b in naps)
    return sum(b - a for a, b in naps) / (num_actors * (ended - began))


def main() -> None:
    """Label through the whole flow, commits included, with more and more actors."""
    from flows import label_images as flow_module
    from flows.embedded_server import quieten_prefect, start_prefect_server
    from redepth.store.reader import open_labels

    quieten_prefect()
    print("\n| actors | images | efficiency | driver CPU, share of a core | driver MB |")
    print("|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["PREFECT_HOME"] = str(Path(temporary) / "prefect")
        start_prefect_server()
        for number in map(int, sys.argv[1:] or NUM_ACTORS):
            pools: list[SleepingPool] = []

            def pool_of(recipe: Recipe, pools: list[SleepingPool] = pools) -> SleepingPool:
                pools.append(SleepingPool(recipe))
                return pools[-1]

            settings = Actors(num_actors=number, num_cpus=0.01)
            recipe = Recipe(name="scale", run=RunSettings(actors=settings))
            names, out = Path(temporary) / "names.txt", Path(temporary) / f"labels-{number}"
            num_images = number * IMAGES_PER_ACTOR
            names.write_text("".join(f"{ref.uri}\n" for ref in listing(num_images)))
            with mock.patch.object(flow_module, "ActorPool", pool_of):
                flow_module.label_images(str(names), str(out), recipe)
            efficiency = busy_share(open_labels(str(out)).table(["reason"]), number)
            cpu = pools[0].driver_cpu_s / pools[0].took_s
            memory_mb = psutil.Process().memory_info().rss / 1e6
            print(
                f"| {number} | {num_images} | {efficiency:.1%} | {cpu:.3f} | {memory_mb:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
