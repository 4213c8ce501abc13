"""`redepth lab`: estimate, measure with a bar, write the page, the figures and the pictures."""

from __future__ import annotations

import math
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flows import terminal
from redepth.config import LabelSettings, differences, load_recipe
from redepth.errors import ConfigError
from redepth.lab.experiments import EXPENSIVE_CONTROLS, Condition, Subject, groups_of, plan_subjects
from redepth.lab.measurement import Measurement
from redepth.lab.results import LabResult, RunFacts, as_json
from redepth.lab.running import measure_subjects
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.report import lab_pictures
from redepth.report.lab_page import headline, lab_page

NUM_PROCESSES = 2
TRIAL_STEPS = 6
ONE_MEMBER = (Condition.FULL, *EXPENSIVE_CONTROLS)


@dataclass(frozen=True, slots=True)
class LabOptions:
    """How large a run is.

    Attributes:
        count: held-out scenes of each group; half of them for the ensemble.
        num_tuning: tuning scenes for the confidence.
        num_members: of the ensembles.
        num_steps: of every refinement.
    """

    count: int
    num_tuning: int
    num_members: int
    num_steps: int


FULL_RUN = LabOptions(count=100, num_tuning=25, num_members=3, num_steps=60)
QUICK_RUN = LabOptions(count=10, num_tuning=5, num_members=2, num_steps=30)


def run_lab(
    out: Path, names: Sequence[str], options: LabOptions, recipe: str, overrides: Sequence[str]
) -> None:
    """Measure and write `report.md`, `results.json` and the pictures into `out`."""
    started, commit = (
        time.perf_counter(),
        _commit(),
    )  # what is measured, whatever is edited meanwhile
    groups = groups_of(names)
    settings = lab_settings(recipe, overrides, options)
    subjects = plan_subjects(groups, options.count, options.num_tuning, options.num_members)
    seconds = estimate_seconds(subjects, settings)
    terminal.err.print(
        f"{len(subjects)} scenes, {sum(map(_num_refinements, subjects))} refinements, about "
        f"{math.ceil(seconds / 60)} min in {NUM_PROCESSES} processes"
    )
    measurements = _measure(subjects, settings)
    facts = _facts(settings, options, commit, time.perf_counter() - started)
    _write(out, LabResult(facts, groups, options.count, tuple(measurements)))


def lab_settings(recipe: str, overrides: Sequence[str], options: LabOptions) -> LabelSettings:
    """Return the recipe with the run's number of steps, on the CPU, one thread a process.

    Raises:
        ConfigError: a setting that does not validate, or another method than Re-Depth Anything.
    """
    settings = load_recipe(recipe, overrides).labels
    if not isinstance(settings.refiner, ReDepthAnything):
        raise ConfigError(
            f"the lab measures Re-Depth Anything, and {recipe} refines with "
            f"{settings.refiner.method}: choose another recipe"
        )
    refiner = settings.refiner.model_copy(
        update={"num_steps": options.num_steps, "num_members": options.num_members}
    )
    compute = settings.compute.model_copy(update={"device": "cpu", "num_threads": 1})
    return settings.model_copy(update={"refiner": refiner, "compute": compute})


def estimate_seconds(subjects: Sequence[Subject], settings: LabelSettings) -> float:
    """Time one refinement of a few steps here, and estimate the rest from it."""
    from redepth.lab.bench import Bench

    assert isinstance(settings.refiner, ReDepthAnything), "see lab_settings"
    trial = settings.refiner.model_copy(update={"num_steps": TRIAL_STEPS, "num_members": 1})
    bench = Bench(settings.model_copy(update={"refiner": trial}))
    subject = Subject(subjects[0].family, 0, subjects[0].split, (Condition.FULL,))
    bench.measure(subject)  # the first one also warms up
    per_step = bench.measure(subject).seconds / TRIAL_STEPS
    refinements = sum(map(_num_refinements, subjects))
    return per_step * settings.refiner.num_steps * refinements / NUM_PROCESSES


def _num_refinements(subject: Subject) -> int:
    """Count the members that ask the prior; the first of an ensemble is that of FULL."""
    members = subject.num_members if Condition.ENSEMBLE in subject.conditions else 0
    single = set(ONE_MEMBER).intersection(subject.conditions)
    return len(single) + members - (members > 0 and Condition.FULL in single)


def _measure(subjects: Sequence[Subject], settings: LabelSettings) -> list[Measurement]:
    columns = (
        TextColumn("[bold]measuring"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=terminal.err) as progress:
        task = progress.add_task("measuring", total=len(subjects))
        return measure_subjects(subjects, settings, NUM_PROCESSES, lambda: progress.advance(task))


def _facts(settings: LabelSettings, options: LabOptions, commit: str, seconds: float) -> RunFacts:
    from redepth.lab.bench import Bench

    bench = Bench(settings)
    return RunFacts(
        command=shlex.join(["redepth", *sys.argv[1:]]),
        commit=commit,
        machine=f"{platform.machine()}, {NUM_PROCESSES} processes of one thread",
        seconds=seconds,
        size_px=bench.size_px,
        num_steps=options.num_steps,
        num_members=options.num_members,
        departures=_departures(settings),
        models=bench.cards,
    )


def _departures(settings: LabelSettings) -> tuple[str, ...]:
    """Name the settings of the method, its models apart, that are not the paper's."""
    apart = {"prior", "caption"}
    own = settings.refiner.model_dump(exclude=apart)
    return tuple(differences(ReDepthAnything().model_dump(exclude=apart), own))


def _commit() -> str:
    """Return the commit of the working tree, with "+" if it was changed; "unknown" without git."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _write(out: Path, result: LabResult) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.md").write_text(lab_page(result), encoding="utf-8")
    (out / "results.json").write_text(as_json(result), encoding="utf-8")
    for group in result.groups:
        chosen = lab_pictures.choose_scenes(result.of_group(group))
        title = f"{group.name}: best, median and worst change of AbsRel of each family"
        picture = lab_pictures.draw_before_after(chosen, title)
        (out / f"before_after_{group.name}.png").write_bytes(picture)
    (out / "changes.png").write_bytes(lab_pictures.draw_changes(result))
    confidence = result.confidence()
    if confidence is not None:
        (out / "sparsification.png").write_bytes(lab_pictures.draw_sparsification(confidence))
        (out / "reliability.png").write_bytes(lab_pictures.draw_reliability(confidence))
    for group in result.groups:
        terminal.out.print(headline(group, result.of_group(group)), markup=False)
    terminal.out.print(f"read {out / 'report.md'}", markup=False)
