"""Task: measure labels against ground truth, and write and publish the tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from redepth.evaluation.alignments import Alignment
from redepth.judging.formats import TableFormat
from redepth.judging.judgement import EvaluationInput, judge_labels
from redepth.judging.tables import as_markdown, render
from redepth.judging.writing import write_judgement
from redepth.printable import code_span
from redepth.redaction import shown
from tasks.retrying import worth_retrying


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What an evaluation found, in words.

    Attributes:
        num_images: measured ones.
        table: the judgement in the format that was asked for.
        files: what was written.
    """

    num_images: int
    table: str
    files: tuple[Path, ...]


@task(
    task_run_name="judge",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=10,
    retry_condition_fn=worth_retrying,
)
def evaluate_selection(
    selection: EvaluationInput,
    alignment: Alignment,
    out: Path | None,
    form: TableFormat,
    on_judged: Callable[[], object],
) -> EvaluationReport:
    """Measure every image that has ground truth, and write tables and pictures where `out` says."""
    judgement = judge_labels(*selection.open(), selection.dataset_format, alignment, on_judged)
    get_run_logger().info("%d images measured", len(judgement.images))
    files = () if out is None else write_judgement(judgement, out)
    words = f"{code_span(shown(selection.labels))} against {selection.dataset_format}"
    create_markdown_artifact(as_markdown(judgement), key="evaluation", description=words)
    return EvaluationReport(len(judgement.images), render(judgement, form), files)
