"""Flow `evaluate-labels`: labels and ground truth become tables.

pair -> score -> tables
"""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.progress_bar import progress_bar
from redepth.evaluation.evaluate import EvaluationInput
from redepth.evaluation.formats import TableFormat
from redepth.metrics.alignments import Alignment
from tasks.evaluate_labels import EvaluationReport, evaluate_selection


@flow(
    name="evaluate-labels",
    flow_run_name="evaluate {labels} against {dataset_format}",
    persist_result=False,
    description="Measure labels against measured or exact depth.",
)
def evaluate_labels(
    labels: str,
    ground_truth: Path,
    dataset_format: str,
    alignment: Alignment | None = None,
    out: Path | None = None,
    form: TableFormat = TableFormat.MARKDOWN,
    partial: bool = False,
    where: str | None = None,
    mapping: Path | None = None,
) -> EvaluationReport:
    """Measure the labels of an output; see `redepth evaluate --help`.

    Args:
        labels: an output of label-images.
        ground_truth: a folder in the format, or a list with columns uri and ground_truth.
        dataset_format: how its files lie, by name.
        alignment: how labels are aligned to ground truth; None for what their kind leaves free.
        out: folder for tables in every format and pictures; None writes nothing.
        form: of the table that is returned.
        partial: leave out images without ground truth that can be read instead of refusing.
        where: a condition in SQL on the catalogue.
        mapping: a file of redepth calibrate to read the labels with.

    Raises:
        ConfigError: something to fix before anything can be measured.
    """
    selection = EvaluationInput(labels, ground_truth, dataset_format, partial, where, mapping)
    _, pairing = selection.open()
    with progress_bar("measuring", len(pairing.pairs)) as on_scored:
        return evaluate_selection(selection, alignment, out, form, on_scored)
