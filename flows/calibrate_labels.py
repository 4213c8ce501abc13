"""`redepth calibrate`: fit a confidence and intervals on labels whose depth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flows import terminal
from flows.progress_bar import progress_bar
from redepth.confidence.cues import CUES
from redepth.confidence.mapping import Guarantee
from redepth.distillation.recipes import as_yaml
from redepth.errors import ConfigError
from redepth.evaluation.calibrate import (
    Calibration,
    CalibrationSettings,
    calibrate,
    calibrated_values,
    default_cues,
    mapping_json,
)
from redepth.evaluation.evaluate import EvaluationInput, LabelScores, score_labels
from redepth.evaluation.pictures import draw_reliability
from redepth.evaluation.tables import (
    UNTRAINED,
    alignment_words,
    left_out_words,
    reliability_words,
)
from redepth.metrics.alignments import Alignment
from redepth.registry import did_you_mean
from redepth.store.reader import Labels

_RECIPE_COMMENT = "Labels with the confidence and intervals that redepth calibrate fitted."


@dataclass(frozen=True, slots=True)
class Fit:
    """What is fitted, as a command has it; see `CalibrationSettings`."""

    within: float
    cues: Sequence[str] = ()
    products: bool = True
    coverage: float = 0.9
    guarantee: Guarantee = "deciles"

    def settings(self, labels: Labels) -> CalibrationSettings:
        """Return what is fitted to these labels; without cues, those of record that they have.

        Raises:
            ConfigError: no such cue.
        """
        for cue in self.cues:
            if cue not in CUES:
                known = ", ".join(CUES)
                raise ConfigError(f"no cue {cue!r}{did_you_mean(cue, CUES)}; known: {known}")
        chosen = tuple(self.cues) or default_cues(labels)
        return CalibrationSettings(
            self.within, chosen, self.products, self.coverage, self.guarantee
        )


def calibrate_labels(
    labels: str,
    ground_truth: Path,
    dataset_format: str,
    out: Path,
    fit: Fit,
    alignment: Alignment | None,
    partial: bool,
) -> Calibration:
    """Write the mapping to `out` and beside it its reliability diagram and a recipe that uses it.

    Raises:
        ConfigError: nothing to fit on.
    """
    opened, pairing = EvaluationInput(labels, ground_truth, dataset_format, partial).open()
    own = fit.settings(opened)
    with progress_bar("measuring", len(pairing.pairs)) as on_scored:
        scores = score_labels(
            opened, pairing, dataset_format, alignment, on_scored, partial=partial, cues=own.cues
        )
    dataset = opened.dataset
    found = calibrate(scores.images, own)
    out.parent.mkdir(parents=True, exist_ok=True)
    text = mapping_json(found, dataset.recipe_name, dataset.recipe_digest, scores.alignments)
    out.write_text(text, encoding="utf-8")
    picture, recipe = out.with_suffix(".png"), out.with_suffix(".yaml")
    named = [("stored", found.before), ("fitted", found.after)]
    there = [(name, reliability) for name, reliability in named if reliability is not None]
    picture.write_bytes(draw_reliability(there, scores.images))
    recipe.write_bytes(as_yaml(calibrated_values(dataset, found), _RECIPE_COMMENT))
    _say(found, scores)
    terminal.out.print(f"mapping: {out}\ndrawn:   {picture}\nrecipe:  {recipe}", markup=False)
    return found


def _say(found: Calibration, scores: LabelScores) -> None:
    before = [] if found.before is None else [f"before: {reliability_words(found.before)}"]
    lines = [
        f"alignment: {alignment_words(scores)}",
        *left_out_words(scores),
        f"fitted on {found.num_fitted} images, tested on {found.num_held_out} others",
        *before,
        f"after:  {reliability_words(found.after)}",
        _interval_words(found),
        *(f"do not use it: {warning}" for warning in found.warnings),
    ]
    terminal.out.print("\n".join(([UNTRAINED] if scores.untrained else []) + lines), markup=False)


def _interval_words(found: Calibration) -> str:
    own = found.intervals
    if own is None:
        return (
            f"no intervals: {found.num_held_out} images to fit them on are too few for this "
            "coverage; 9 for 90 %, in every group of confidence"
        )
    tested = "untested" if found.coverage is None else f"{found.coverage:.1%} across halves"
    return (
        f"intervals of {own.coverage:.0%} ({own.guarantee}) from {own.num_images} images: {tested}"
    )
