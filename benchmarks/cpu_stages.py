"""CPU time of what stands around a model: members until they are scored.

Run `OMP_NUM_THREADS=1 python -m benchmarks.cpu_stages`; it prints a Markdown table in seconds.

The ensemble has 4 members of 518 x 518 px, a smooth map with noise of three scales in each of them.
Times are CPU time of this process, the least of several turns: other programs on the machine only
make a turn longer.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage

from redepth.config import Ensemble, Guard
from redepth.labelling.ensemble import guard, reduce_members
from redepth.types import FloatMap, Members

SIZE_PX, NUM_MEMBERS = 518, 4


def ensemble() -> tuple[FloatMap, Members]:
    """Return a coarse map and members that differ from it by noise."""
    rng = np.random.default_rng(0)
    size_hw = (SIZE_PX, SIZE_PX)
    coarse_hw = 3 + 30 * ndimage.gaussian_filter(rng.normal(size=size_hw), 20)
    scales = (1, 3, 9)
    noise = [
        sum(0.02 * s * ndimage.gaussian_filter(rng.normal(size=size_hw), s) for s in scales)
        for _ in range(NUM_MEMBERS)
    ]
    maps_ehw = np.stack([(1 + 0.1 * e) * coarse_hw + n for e, n in enumerate(noise)])
    return coarse_hw.astype(np.float32), Members(maps_ehw.astype(np.float32))


def least_ms(work: Callable[[], object], turns: int) -> float:
    """Return the CPU time of the fastest of several turns, in ms."""
    seconds = []
    for _ in range(turns):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return 1e3 * min(seconds)


def print_ensemble(turns: int) -> None:
    coarse_hw, members = ensemble()
    refined = reduce_members(members, coarse_hw, Ensemble())
    stages: dict[str, Callable[[], object]] = {
        "align, mean, spread, confidence": lambda: reduce_members(members, coarse_hw, Ensemble()),
        "guard: drift and rank correlation": lambda: guard(coarse_hw, refined.map_hw, Guard()),
    }
    times = {name: least_ms(work, turns) for name, work in stages.items()}
    print(f"| {NUM_MEMBERS} members of {SIZE_PX} x {SIZE_PX} px | CPU ms |\n|---|---:|")
    for name, ms in {**times, "both": sum(times.values())}.items():
        print(f"| {name} | {ms:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=15)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print_ensemble(asked.turns)


if __name__ == "__main__":
    main()
