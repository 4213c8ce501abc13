"""Task: measure labels against ground truth, and write and publish the tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from redepth.evaluation.evaluate import EvaluationInput, score_labels
from redepth.evaluation.formats import TableFormat
from redepth.evaluation.tables import as_markdown, left_out_words, render
from redepth.evaluation.writing import write_scores
from redepth.metrics.alignments import Alignment
from redepth.printable import code_span
from redepth.redaction import shown
from tasks.retrying import worth_retrying


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What an evaluation found, in words.

    Attributes:
        num_images: measured ones.
        left_out: what was left out and why, a line for each reason; see `left_out_words`.
        table: the scores in the requested format.
        files: what was written.
    """

    num_images: int
    left_out: tuple[str, ...]
    table: str
    files: tuple[Path, ...]


@task(
    task_run_name="score",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_delay_seconds=10,
    retry_condition_fn=worth_retrying,
)
def evaluate_selection(
    selection: EvaluationInput,
    alignment: Alignment | None,
    out: Path | None,
    form: TableFormat,
    on_scored: Callable[[], object],
) -> EvaluationReport:
    """Measure every image that has ground truth, and write tables and pictures where `out` says."""
    scores = score_labels(
        *selection.open(),
        selection.dataset_format,
        alignment,
        on_scored,
        partial=selection.partial,
    )
    left_out = tuple(left_out_words(scores))
    get_run_logger().info("%d images measured", len(scores.images))
    for words in left_out:
        get_run_logger().warning("%s", words)
    files = () if out is None else write_scores(scores, out)
    words = f"{code_span(shown(selection.labels))} against {selection.dataset_format}"
    create_markdown_artifact(as_markdown(scores), key="evaluation", description=words)
    return EvaluationReport(len(scores.images), left_out, render(scores, form), files)
