"""Measure many scenes in a few processes; the outcome does not depend on how many."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING

from redepth.config import LabelSettings
from redepth.lab.experiments import Subject
from redepth.lab.measurement import Measurement

if TYPE_CHECKING:
    from redepth.lab.bench import Bench

# The bench of a worker process, set when it starts: models are loaded once, not with every scene.
_bench: Bench | None = None


def measure_subjects(
    subjects: Sequence[Subject],
    settings: LabelSettings,
    num_processes: int,
    on_measured: Callable[[], object] = lambda: None,
) -> list[Measurement]:
    """Return the measurements in the order of the subjects.

    Args:
        settings: of the recipe; each process uses `compute.num_threads` torch threads.
        num_processes: 1 measures in this process.
        on_measured: called after each scene, for a progress bar.
    """
    if num_processes == 1:
        _load(settings)
        return [_measured(subject, on_measured) for subject in subjects]
    # Not forked: a forked copy of torch's thread pool hangs.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, context, _load, (settings,)) as pool:
        try:
            futures = [pool.submit(_measure, subject) for subject in subjects]
            for future in as_completed(futures):
                future.result()  # a scene that raises ends the run now, not after all others
                on_measured()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]


def _measured(subject: Subject, on_measured: Callable[[], object]) -> Measurement:
    measurement = _measure(subject)
    on_measured()
    return measurement


def _load(settings: LabelSettings) -> None:
    from redepth.lab.bench import Bench

    global _bench  # noqa: PLW0603 - a process pool has no other place to keep its models
    _bench = Bench(settings)


def _measure(subject: Subject) -> Measurement:
    assert _bench is not None, "the process was not started by measure_subjects"
    return _bench.measure(subject)
