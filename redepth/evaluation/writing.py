"""A scores as files: tables in every format, and pictures of the confidence."""

from __future__ import annotations

from pathlib import Path

from redepth.evaluation.coverage import coverage_of, kept_rows
from redepth.evaluation.evaluate import LabelScores
from redepth.evaluation.pictures import (
    draw_coverage,
    draw_reliability,
    draw_risk,
    draw_sparsification,
)
from redepth.evaluation.summary import mean_curves, stored_reliability
from redepth.evaluation.tables import SUFFIXES, render

TABLE_STEM = "evaluation"
SPARSIFICATION_NAME, RELIABILITY_NAME = "sparsification.png", "reliability.png"
RISK_NAME, COVERAGE_NAME = "risk-coverage.png", "intervals.png"


def write_scores(scores: LabelScores, folder: Path) -> tuple[Path, ...]:
    """Write `evaluation.md`, `.tex` and `.json`, and the pictures where there is confidence."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        f"{TABLE_STEM}{suffix}": render(scores, form).encode() for form, suffix in SUFFIXES.items()
    }
    curves = mean_curves([image.sparsification for image in scores.images])
    reliability = stored_reliability(scores.images, scores.within)
    if curves is not None:
        contents[SPARSIFICATION_NAME] = draw_sparsification(curves, scores.images)
        contents[RISK_NAME] = draw_risk(kept_rows(scores.images), scores.images)
    covered = coverage_of(scores.images, scores.promised)
    if covered is not None:
        contents[COVERAGE_NAME] = draw_coverage(covered)
    if reliability is not None:
        named = [("stored confidence", reliability)]
        contents[RELIABILITY_NAME] = draw_reliability(named, scores.images)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return tuple(folder / name for name in contents)
