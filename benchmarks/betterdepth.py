"""What `betterdepth-mini` gains on held-out scenes, beside its controls and its ablation.

    python -m benchmarks.betterdepth --out FOLDER [--row NAME=MODEL_FOLDER ...]
    python -m benchmarks.betterdepth --out FOLDER --modes

The first measures every scene over two coarse models: `mini`, whose errors the refiner was trained
on, and `mini-dpt`, which it never saw. `--row` adds refiners from other folders, such as those that
`redepth train betterdepth` writes with other settings. The second compares steps x members in
quality, seconds and memory. What is measured already is not measured again, so a run can be stopped
at any time. It prints a Markdown table. How a map is scored: docs/lab.md.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from redepth.config import load_recipe
from redepth.evaluation.tables import finite_json
from redepth.lab.bench import other_image
from redepth.lab.scoring import score
from redepth.labelling.ensemble import reduce_members
from redepth.labelling.labeller import Labeller, load_labeller
from redepth.metrics.paired import paired_change
from redepth.refiners.refiner import RefinementInput
from redepth.scenes.families import render_scene
from redepth.scenes.scene import Scene, Split
from redepth.training.betterdepth.scenes import SHARES

RECIPE = "betterdepth-mini"
FULL = "full"
NEVER_SEEN = ("cloth", "leaves", "wires")
COARSE = ("mini", "mini-dpt")
FIGURES = ("abs_rel", "normal_deg", "edge_recall", "edge_f1")
MODES = ((2, 1), (2, 4), (2, 10), (10, 10), (50, 10))
_SAMPLE_S = 0.02

Entry = dict[str, Any]  # a line of the results file


@dataclass(frozen=True, slots=True)
class Task:
    """One scene, one coarse model, one refiner, at so many steps and members."""

    family: str
    seed: int
    split: str
    coarse: str
    row: str
    folder: str | None
    steps: int | None = None
    members: int | None = None

    @property
    def key(self) -> str:
        """What names it among the results."""
        values = (self.family, self.seed, self.split, self.coarse, self.row)
        return "/".join(map(str, (*values, self.steps, self.members)))


@cache
def labeller_of(
    coarse: str, folder: str | None, steps: int | None, members: int | None
) -> Labeller:
    """Load a recipe's models once in each process."""
    changes = [f"labels.coarse.preset={coarse}"]
    if folder is not None:
        changes += [
            f"labels.refiner.model.weights.{n}" for n in (f"folder={folder}", "variant=fp16")
        ]
    if steps is not None:
        changes += [f"labels.refiner.num_steps={steps}"]
    if members is not None:
        changes += [f"labels.refiner.num_members={members}"]
    return load_labeller(load_recipe(RECIPE, changes).labels)


def measure(task: Task) -> dict[str, object]:
    """Score the coarse map, the refined one, and the one refined with another scene's picture."""
    labeller = labeller_of(task.coarse, task.folder, task.steps, task.members)
    height_px, _ = labeller.estimator.processing_size(64, 64)
    scene = render_scene(task.family, task.seed, height_px, Split(task.split))
    coarse = labeller.estimator.estimate(scene.rgb_hw3)
    judged = RefinementInput(scene.id, scene.rgb_hw3, coarse, "")
    found: dict[str, object] = {"key": task.key, "coarse_scores": figures(coarse.map_hw, scene)}
    with Memory() as memory:
        started = time.perf_counter()
        refined = reduce(labeller, judged)
        found["seconds"] = time.perf_counter() - started
    found["memory_mb"] = memory.samples_mb
    found["refined"] = figures(refined, scene)
    if task.row == FULL and task.steps is None:
        wrong = replace(judged, rgb_hw3=other_image(scene).rgb_hw3)
        found["wrong_photograph"] = figures(reduce(labeller, wrong), scene)
    return found


def reduce(labeller: Labeller, judged: RefinementInput) -> np.ndarray:
    """Return the map that would be the label."""
    members = labeller.refiner.refine(judged)
    return reduce_members(members, judged.coarse.map_hw, labeller.settings.ensemble).map_hw


def figures(map_hw: np.ndarray, scene: Scene) -> dict[str, float | None]:
    """Return the figures of a map over the whole picture."""
    scores = finite_json(asdict(score(map_hw, scene, np.ones(map_hw.shape, dtype=bool))))
    return {name: scores[name] for name in FIGURES}


class Memory:
    """This process's resident memory while something runs, MB, in samples."""

    def __enter__(self) -> Memory:
        self.samples_mb: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self.samples_mb.append(pages * 4096 / 1e6)
            if self._over.wait(_SAMPLE_S):
                return


def run(tasks: Sequence[Task], results: Path, num_processes: int) -> dict[str, Entry]:
    """Measure what is not in `results` yet; return all of it by key."""
    results.parent.mkdir(parents=True, exist_ok=True)
    lines = results.read_text().splitlines() if results.exists() else []
    found = {entry["key"]: entry for entry in map(json.loads, lines)}
    left = [task for task in tasks if task.key not in found]
    context = multiprocessing.get_context("spawn")
    with results.open("a") as stream, ProcessPoolExecutor(num_processes, context) as pool:
        for done in as_completed([pool.submit(measure, task) for task in left]):
            entry = done.result()
            found[str(entry["key"])] = entry
            stream.write(json.dumps(entry) + "\n")
            stream.flush()
    return {task.key: found[task.key] for task in tasks}


def scenes(count: int, split: str) -> list[tuple[str, str, int]]:
    """Return (group, family, seed): `count` scenes of each group, shared out over its families."""
    groups = {"trained on": tuple(SHARES), "never seen": NEVER_SEEN}
    return [
        (group, families[i % len(families)], i // len(families))
        for group, families in groups.items()
        for i in range(count)
    ]


def compared(entries: Sequence[Entry], which: str) -> str:
    """Return a table's cells: changes with their intervals, recall as a factor."""
    cells = []
    for name in FIGURES[:2]:
        change = paired_change(*columns(entries, which, name))
        assert change is not None
        cells.append(
            f"{change.change:+.1%} [{change.low:+.1%}, {change.high:+.1%}], "
            f"{change.share_better:.0%} better"
        )
    for name in FIGURES[2:]:
        change = paired_change(*columns(entries, which, name), larger_is_better=True)
        cells.append("" if change is None else f"x{1 + change.change:.2f} (of {change.before:.2f})")
    return " | ".join(cells)


def columns(entries: Sequence[Entry], which: str, name: str) -> tuple[list[float], list[float]]:
    """Return a figure before and after; what could not be measured is NaN."""
    before = [e["coarse_scores"][name] for e in entries]
    after = [e[which][name] for e in entries]
    return _numbers(before), _numbers(after)


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def table(tasks: Sequence[tuple[str, Task]], found: dict[str, Entry]) -> None:
    """Print a line for each group, coarse model and row."""
    print("| shapes | coarse model | refiner | n | AbsRel | normals | edge recall | edge F1 |")
    print("|---|---|---|---|---|---|---|---|")
    for group, coarse, row in dict.fromkeys((g, t.coarse, t.row) for g, t in tasks):
        chosen = [(g, t) for g, t in tasks if (g, t.coarse, t.row) == (group, coarse, row)]
        entries = [found[task.key] for _, task in chosen]
        for which in ("refined", "wrong_photograph"):
            if which in entries[0]:
                name = row if which == "refined" else f"{row}, wrong photograph"
                line = compared(entries, which)
                print(f"| {group} | {coarse} | {name} | {len(entries)} | {line} |")


def modes_table(tasks: Sequence[tuple[str, Task]], found: dict[str, Entry]) -> None:
    """Print a line for each mode: quality, seconds, memory."""
    print(
        "| steps x members | n | AbsRel | normals | edge recall | edge F1 | s an image | P95 MB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for steps, members in MODES:
        entries = [found[t.key] for _, t in tasks if (t.steps, t.members) == (steps, members)]
        seconds = np.median([e["seconds"] for e in entries])
        memory = np.percentile(np.concatenate([e["memory_mb"] for e in entries]), 95)
        line = compared(entries, "refined")
        print(f"| {steps} x {members} | {len(entries)} | {line} | {seconds:.2f} | {memory:.0f} |")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for results.jsonl")
    parser.add_argument("--count", type=int, default=66, help="scenes of each of the two groups")
    parser.add_argument("--split", default=Split.HELD_OUT.value, choices=[s.value for s in Split])
    parser.add_argument("--row", action="append", default=[], help="NAME=FOLDER of another model")
    parser.add_argument("--coarse", action="append", default=[], help="default: both mini models")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--modes", action="store_true", help="steps x members instead")
    given = parser.parse_args()
    chosen = scenes(given.count, given.split)
    if given.modes:
        tasks = [
            (g, Task(f, i, given.split, COARSE[0], FULL, None, *mode))
            for mode in MODES
            for g, f, i in chosen
        ]
    else:
        rows = {FULL: None} | dict(row.split("=", 1) for row in given.row)
        tasks = [
            (g, Task(f, i, given.split, coarse, row, folder))
            for coarse in given.coarse or COARSE
            for row, folder in rows.items()
            for g, f, i in chosen
        ]
    results = given.out / "results.jsonl"
    if given.modes:
        for mode in MODES:  # in a process of its own each, or the memory would add up
            own = [task for _, task in tasks if (task.steps, task.members) == mode]
            run(own, results, num_processes=1)
    found = run([task for _, task in tasks], results, given.processes)
    (modes_table if given.modes else table)(tasks, found)


if __name__ == "__main__":
    main()
