"""Distil students from a teacher's labels of rendered scenes, and score them against exact depth.

    python -m benchmarks.distillation --out distillation/

The teacher is one member of the mini recipe with the settings of redepth-anything-fast. It labels
100 tuning scenes each of faces, coins and dunes, a fifth of which judges the students, and held-out
scenes of these and of four other families. What is done is kept in the folder and not done again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from redepth.config import load_recipe
from redepth.errors import ConfigError
from redepth.lab.distillation import (
    CPU,
    Judged,
    Lesson,
    SceneId,
    SceneLabels,
    SceneTeacher,
    StudentBench,
    Taught,
    by_family,
    sent_share,
)
from redepth.metrics.bootstrap import bootstrap_ratio
from redepth.metrics.paired import paired_change
from redepth.refiners.triage import read_triage
from redepth.scenes.scene import Split
from redepth.settings import Weights
from redepth.training import CONFIGS
from redepth.training.distilled.run import train_distilled
from redepth.training.distilled.settings import DistilledTraining
from redepth.training.engine.run import Run
from redepth.training.folders import CHECKPOINTS, VARIANT
from redepth.types import CoarseDepth, DepthKind

SHOWN = ("faces", "coins", "dunes")
OTHERS = ("cloth", "lumps", "leaves", "saddles")
TEACHER = (
    "num_members=1",
    "num_steps=16",
    "token_learning_rate=0.01",
    "noise_draws=2",
    "prior.encoder=mini-tiny",
)
FIRST_SEED = 1000  # tuning scenes below are what settings were chosen on
BUDGETS = (0.0, 0.03, 0.1, 0.3, 1.0)

REFINED = ("teacher", "student")
Figures = tuple[float, float]  # AbsRel, and the normals' error in degrees

_teacher: SceneTeacher | None = None


def teach(places: Sequence[SceneId], folder: Path, num_processes: int) -> list[Taught]:
    """Refine the scenes that the folder does not hold yet, and return all."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [place for place in places if not (folder / f"{place.name}.npz").exists()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, context, _load_teacher) as pool:
        for number, taught in enumerate(pool.map(_teach, missing), 1):
            np.savez(
                folder / f"{taught.place.name}.npz",
                coarse=taught.coarse.map_hw,
                teacher=taught.refined_hw,
                seconds=taught.cpu_seconds,
            )
            print(f"\rlabelled {number} of {len(missing)}", end="", flush=True)
    return [_read(place, folder) for place in places]


def _load_teacher() -> None:
    global _teacher  # noqa: PLW0603 - a process pool has no other place to keep its models
    _teacher = SceneTeacher(
        load_recipe("mini", [f"labels.refiner.{change}" for change in TEACHER]).labels
    )


def _teach(place: SceneId) -> Taught:
    assert _teacher is not None
    return _teacher.teach(place)


def _read(place: SceneId, folder: Path) -> Taught:
    with np.load(folder / f"{place.name}.npz", allow_pickle=False) as found:
        coarse = CoarseDepth(found["coarse"], DepthKind.AFFINE_DISPARITY)
        return Taught(place, coarse, found["teacher"], float(found["seconds"]))


def distil(labels: Sequence[Taught], lesson: Lesson, out: Path, changes: Sequence[str]) -> Path:
    """Train a student, or go on with it; return its folder."""
    settings = CONFIGS.load(DistilledTraining, "distilled-mini", ["data.labels=[scenes]", *changes])
    resume = (out / CHECKPOINTS).is_dir()
    outputs = SceneLabels(labels, lesson)
    return train_distilled(Run(settings, out, outputs, CPU, resume, progress=_progress)).folder


def _progress(what: str, done: int, total: int, loss: float) -> None:
    if done % 50 == 0 or done == total:
        print(f"\r{what} {done} of {total}   ", end="", flush=True)


def figures(found: Sequence[Judged]) -> str:
    """Return cells: the change of AbsRel and of normals, with intervals, teacher and student."""
    coarse, teacher, student = ([getattr(o, w) for o in found] for w in ("coarse", *REFINED))
    cells = [_change(coarse, after, which) for which in (0, 1) for after in (teacher, student)]
    alone = np.mean([one.left_alone for one in found])
    return " | ".join([*cells, _kept(coarse, teacher, student), f"{alone:.0%}"])


def _change(before: Sequence[Figures], after: Sequence[Figures], which: int) -> str:
    change = paired_change([one[which] for one in before], [one[which] for one in after])
    assert change is not None
    return f"{change.change:+.1%} [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"


def _kept(coarse: Sequence[Figures], teacher: Sequence[Figures], own: Sequence[Figures]) -> str:
    """Return the share of the teacher's fall of AbsRel."""
    gained = [before[0] - after[0] for before, after in zip(coarse, teacher, strict=True)]
    if sum(gained) <= 0:
        return "it gains nothing"
    kept = bootstrap_ratio(
        [before[0] - after[0] for before, after in zip(coarse, own, strict=True)], gained
    )
    return f"{kept.ratio:.0%} [{kept.low:.0%}, {kept.high:.0%}]"


def families_table(found: Sequence[Judged]) -> str:
    """Return a Markdown table: the families that were shown, the others, each of them."""
    head = (
        "scenes", "n", "AbsRel: teacher", "student", "normals: teacher", "student",
        "of the teacher's gain", "left alone",
    )  # fmt: skip
    groups = {f"**{name}**": some for name, some in _groups(found).items()}
    rows = [
        f"| {name} | {len(some)} | {figures(some)} |"
        for name, some in {**groups, **by_family(found)}.items()
    ]
    return "\n".join((*_head(head), *rows))


def cascade_table(found: Sequence[Judged], student: Path) -> str:
    """Return a Markdown table, a row a budget: shown families, and others."""
    triage = read_triage(Weights(folder=str(student)), None).triage
    teacher_s, student_s = np.mean([one.cpu_seconds for one in found], axis=0)
    shown, others = _groups(found).values()
    head = (
        "budget", "sent", "AbsRel, families shown", "of the teacher's gain", "sent of others",
        "AbsRel, others", "CPU s an image",
    )  # fmt: skip
    rows = []
    for budget in BUDGETS:
        threshold = triage.threshold(budget)
        cells = []
        for some in (shown, others):
            coarse, teacher = [o.coarse for o in some], [o.teacher for o in some]
            cascade = [one.cascade(threshold) for one in some]
            cells += [f"{sent_share(some, threshold):.0%}", _change(coarse, cascade, 0)]
            if some is shown:
                cells.append(_kept(coarse, teacher, cascade))
        seconds = student_s + sent_share(shown, threshold) * teacher_s
        rows.append(f"| {budget:.0%} | {' | '.join(cells)} | {seconds:.3f} |")
    words = f"teacher {teacher_s:.3f} CPU s an image, student {student_s:.4f}"
    return "\n".join((words, "", *_head(head), *rows))


def draw_curve(found: Sequence[Judged], student: Path, path: Path) -> None:
    """Draw what is kept of the teacher's gain against what an image costs: a point a budget."""
    from matplotlib.figure import Figure

    triage = read_triage(Weights(folder=str(student)), None).triage
    teacher_s, student_s = np.mean([one.cpu_seconds for one in found], axis=0)
    shown = _groups(found)["families shown"]
    figure = Figure((6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    ways = {"student": (student_s, [one.student for one in shown])}
    for budget in BUDGETS[:-1]:
        threshold = triage.threshold(budget)
        seconds = student_s + sent_share(shown, threshold) * teacher_s
        ways[f"{budget:.0%}"] = seconds, [one.cascade(threshold) for one in shown]
    ways["teacher"] = teacher_s, [one.teacher for one in shown]
    gained = [one.coarse[0] - one.teacher[0] for one in shown]
    for words, (seconds, figures_n) in ways.items():
        kept = [one.coarse[0] - own[0] for one, own in zip(shown, figures_n, strict=True)]
        ratio = bootstrap_ratio(kept, gained)
        error = [[ratio.ratio - ratio.low], [ratio.high - ratio.ratio]]
        colour = "C0" if words.endswith("%") else "C1"
        axes.errorbar(seconds, ratio.ratio, error, fmt="o", color=colour, capsize=3)
        axes.annotate(words, (seconds, ratio.ratio), (5, 3), textcoords="offset points", fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(student_s / 1.5, teacher_s * 2.0)
    axes.set_xlabel("CPU seconds an image")
    axes.set_ylabel("of the teacher's gain in AbsRel")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=130)


def _head(names: Sequence[str]) -> tuple[str, str]:
    return f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"


def _groups(found: Sequence[Judged]) -> dict[str, list[Judged]]:
    shown = [one for one in found if one.place.family in SHOWN]
    return {
        "families shown": shown,
        "other families": [one for one in found if one.place.family not in SHOWN],
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=100, help="of each family that is shown")
    parser.add_argument("--held-out", type=int, default=40, help="of each shown; half of others")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--lesson", type=Lesson, choices=list(Lesson), action="append")
    parser.add_argument(
        "--set", action="append", default=[], help="of the training", dest="changes"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    collection = [
        SceneId(family, FIRST_SEED + seed, Split.TUNING)
        for family in SHOWN
        for seed in range(arguments.scenes)
    ]
    held_out = [
        SceneId(family, seed, Split.HELD_OUT)
        for family in (*SHOWN, *OTHERS)
        for seed in range(arguments.held_out // (1 if family in SHOWN else 2))
    ]
    folder = arguments.out / "labels"
    labels = teach(collection, folder, arguments.processes)
    judged_on = teach(held_out, folder, arguments.processes)
    for lesson in arguments.lesson or list(Lesson):
        try:
            student = distil(
                labels, lesson, arguments.out / f"student-{lesson.value}", arguments.changes
            )
        except ConfigError as error:
            print(f"\n\n## Taught: {lesson.value}\n\nRefused: {error}")
            continue
        bench = StudentBench(student, VARIANT)
        found = [bench.judge(taught) for taught in judged_on]
        print(f"\n\n## Taught: {lesson.value}\n\n{families_table(found)}")
        if lesson is Lesson.TEACHER:
            print(f"\n{cascade_table(found, student)}")
            draw_curve(found, student, arguments.out / "curve.png")
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
