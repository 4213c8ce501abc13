"""`redepth compare`: two sets of labels of one collection, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from flows import terminal
from flows.progress_bar import progress_bar
from redepth.datasets.finding import find_ground_truth
from redepth.datasets.pairing import Pairing
from redepth.evaluation.comparing import (
    LabelComparison,
    common_ids,
    compare_labels,
    comparison_json,
    comparison_markdown,
    require_one_alignment,
)
from redepth.evaluation.evaluate import LabelScores, pair_labels, score_labels
from redepth.evaluation.tables import left_out_words
from redepth.metrics.alignments import Alignment
from redepth.report.comparison_page import read_comparison, render_comparison
from redepth.store.reader import Labels, open_labels


def compare_label_sets(
    first: str,
    second: str,
    ground_truth: Path | None,
    dataset_format: str,
    alignment: Alignment | None,
    partial: bool,
    out: Path | None,
) -> LabelComparison:
    """Compare two outputs, print the table, and write it as Markdown and JSON where `out` says.

    Raises:
        ConfigError: no labels, no image in common, no ground truth for them, or labels of other
            kinds without an alignment for both.
    """
    opened = open_labels(first), open_labels(second)
    shared = common_ids(*opened)
    scores = None
    if ground_truth is not None:
        require_one_alignment(*opened, alignment)
        files = find_ground_truth(ground_truth, dataset_format, partial)
        pairings = [pair_labels(labels, files, partial) for labels in opened]
        scores = _score_both(opened, pairings, dataset_format, alignment, partial)
        for words in dict.fromkeys(line for one in scores for line in left_out_words(one)):
            terminal.err.print(words, markup=False)
    with progress_bar("comparing", len(shared)) as on_compared:
        found = compare_labels(*opened, scores, on_compared)
    terminal.out.print(comparison_markdown(found), markup=False)
    if out is not None:
        _write(found, out)
    return found


def write_page(
    found: LabelComparison, first: str, second: str, page: Path, allow: Sequence[str] = ()
) -> None:
    """Write the page of a comparison that was made; `allow` as `Labels.photographs` takes it."""
    opened = open_labels(first), open_labels(second)
    drawn = read_comparison(found, *opened, datetime.now(UTC), allow)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render_comparison(drawn), encoding="utf-8")
    terminal.print_report(page, drawn.num_images, drawn.gallery)


def _score_both(
    opened: tuple[Labels, Labels],
    pairings: Sequence[Pairing],
    dataset_format: str,
    alignment: Alignment | None,
    partial: bool,
) -> tuple[LabelScores, LabelScores]:
    with progress_bar("measuring", sum(len(found.pairs) for found in pairings)) as on_scored:
        first, second = (
            score_labels(labels, pairing, dataset_format, alignment, on_scored, partial=partial)
            for labels, pairing in zip(opened, pairings, strict=True)
        )
    return first, second


def _write(found: LabelComparison, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "comparison.md").write_text(comparison_markdown(found), encoding="utf-8")
    (folder / "comparison.json").write_text(comparison_json(found), encoding="utf-8")
    terminal.out.print(f"written to {folder}", markup=False)
