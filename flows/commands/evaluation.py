"""Evaluate labels against ground truth and one another: evaluate, calibrate, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows import terminal
from flows.commands.arguments import (
    AlignOption,
    AllowPhotographs,
    DatasetFormat,
    FirstLabelsUrl,
    GroundTruthPath,
    LabelsUrl,
    OtherLabelsUrl,
    Partial,
)
from flows.embedded_server import quieten_prefect, start_prefect_server
from redepth.evaluation.formats import TableFormat
from redepth.labelling.confidence import Cue

PANEL = "Evaluate labels"
EXIT_FAILED = 1

app = typer.Typer()


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\n"
    "redepth evaluate labels/ --ground-truth scenes/ --dataset-format scenes\n\n"
    "redepth evaluate labels/ --ground-truth kitti/val --dataset-format kitti --partial "
    "--out evaluation/\n\n"
    "redepth evaluate labels/ --ground-truth nyu/test --dataset-format nyu --align ransac "
    "--format latex",
)
def evaluate(
    labels: LabelsUrl,
    ground_truth: GroundTruthPath,
    dataset_format: DatasetFormat,
    align: AlignOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A folder for tables in every format, and pictures."),
    ] = None,
    form: Annotated[
        TableFormat, typer.Option("--format", "-f", help="Format of the printed table.")
    ] = TableFormat.MARKDOWN,
    partial: Partial = False,
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="A condition on the catalogue's columns.")
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit with 1 if an image with ground truth was left out."),
    ] = False,
) -> None:
    """Measure labels against ground truth: coarse and refined side by side, and the confidence."""
    from redepth.evaluation.evaluate import EvaluationInput

    # A look takes no engine: what is wrong with the arguments is said before one is started.
    EvaluationInput(labels, ground_truth, dataset_format, partial, where).open()
    quieten_prefect()
    from flows.evaluate_labels import evaluate_labels

    start_prefect_server()
    report = evaluate_labels(labels, ground_truth, dataset_format, align, out, form, partial, where)
    terminal.out.print(report.table, markup=False)
    for path in report.files:
        terminal.err.print(f"written: {path}", markup=False)
    for words in report.left_out:
        terminal.err.print(words, markup=False)
    if strict and report.left_out:
        raise typer.Exit(EXIT_FAILED)


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\n"
    "redepth calibrate labels/ --ground-truth scenes/ --dataset-format scenes "
    "--out mapping.json\n\n"
    "redepth calibrate labels/ --ground-truth scenes/ --dataset-format scenes --out mapping.json "
    "--within 1.05 --cue spread --cue slope",
)
def calibrate(
    labels: LabelsUrl,
    ground_truth: GroundTruthPath,
    dataset_format: DatasetFormat,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the mapping goes, as JSON.")],
    within: Annotated[
        float,
        typer.Option(min=1.001, help="A pixel is right within this factor of the ground truth."),
    ] = 1.25,
    cue: Annotated[
        list[Cue] | None,
        typer.Option(
            "--cue", help="A cue that the mapping uses; can be repeated. Default: spread."
        ),
    ] = None,
    align: AlignOption = None,
    partial: Partial = False,
) -> None:
    """Fit the probability that a pixel is near the true depth, from the spread and other cues."""
    from flows.calibrate_labels import calibrate_labels

    calibrate_labels(
        labels, ground_truth, dataset_format, out, within, cue or (Cue.SPREAD,), align, partial
    )


@app.command(
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\nredepth compare labels-a/ labels-b/ --html comparison.html\n\n"
    "redepth compare labels-a/ labels-b/ --ground-truth scenes/ --dataset-format scenes "
    "--out comparison/",
)
def compare(
    first: FirstLabelsUrl,
    second: OtherLabelsUrl,
    ground_truth: Annotated[
        Path | None, typer.Option(metavar="DIR", help="As for redepth evaluate.")
    ] = None,
    dataset_format: DatasetFormat = "scenes",
    align: AlignOption = None,
    partial: Partial = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A folder for the tables.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page that shows both side by side.")
    ] = None,
    allow: AllowPhotographs = None,
) -> None:
    """Compare two sets of labels of one collection, image by image."""
    from flows.compare_labels import compare_label_sets, write_page

    found = compare_label_sets(first, second, ground_truth, dataset_format, align, partial, out)
    if html is not None:
        write_page(found, first, second, html, allow or ())
