"""`redepth calibrate`: fit spread -> probability on labels whose depth is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows import terminal
from flows.progress_bar import progress_bar
from redepth.evaluation.calibrate import Calibration, calibrate, mapping_json
from redepth.evaluation.evaluate import EvaluationInput, LabelScores, score_labels
from redepth.evaluation.pictures import draw_reliability
from redepth.evaluation.tables import (
    UNTRAINED,
    alignment_words,
    left_out_words,
    reliability_words,
)
from redepth.labelling.confidence import Cue
from redepth.metrics.alignments import Alignment


def calibrate_labels(
    labels: str,
    ground_truth: Path,
    dataset_format: str,
    out: Path,
    within: float,
    cues: Sequence[Cue],
    alignment: Alignment | None,
    partial: bool,
) -> Calibration:
    """Write the mapping to `out` and its reliability diagram beside it, and say what it is worth.

    Raises:
        ConfigError: nothing to fit on.
    """
    opened, pairing = EvaluationInput(labels, ground_truth, dataset_format, partial).open()
    with progress_bar("measuring", len(pairing.pairs)) as on_scored:
        scores = score_labels(
            opened, pairing, dataset_format, alignment, on_scored, partial=partial
        )
    dataset = opened.dataset
    found = calibrate(scores.images, within, cues)
    out.parent.mkdir(parents=True, exist_ok=True)
    text = mapping_json(
        found.mapping, dataset.recipe_name, dataset.recipe_digest, scores.alignments
    )
    out.write_text(text, encoding="utf-8")
    picture = out.with_suffix(".png")
    named = [("stored", found.before), ("fitted", found.after)]
    picture.write_bytes(draw_reliability(named, scores.images))
    _say(found, scores)
    terminal.out.print(f"mapping: {out}\ndrawn:   {picture}", markup=False)
    return found


def _say(found: Calibration, scores: LabelScores) -> None:
    lines = [
        f"alignment: {alignment_words(scores)}",
        *left_out_words(scores),
        f"fitted on {found.num_fitted} images, tested on {found.num_held_out} others",
        f"before: {reliability_words(found.before)}",
        f"after:  {reliability_words(found.after)}",
        *(f"do not use it: {warning}" for warning in found.warnings),
    ]
    terminal.out.print("\n".join(([UNTRAINED] if scores.untrained else []) + lines), markup=False)
