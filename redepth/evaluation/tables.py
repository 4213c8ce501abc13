"""A scores as Markdown, LaTeX or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from redepth.datasets.ground_truth import GroundTruthKind
from redepth.evaluation.coverage import (
    Coverage,
    KeptRow,
    coverage_of,
    coverage_words,
    kept_rows,
)
from redepth.evaluation.evaluate import ImageScores, LabelScores
from redepth.evaluation.formats import TableFormat
from redepth.evaluation.own_numbers import WORDS
from redepth.evaluation.scores import TITLES
from redepth.evaluation.summary import (
    Reliability,
    ScoreRow,
    mean_ause,
    score_rows,
    stored_reliability,
)
from redepth.metrics.alignments import NUM_FITTED
from redepth.metrics.bootstrap import MeanInterval
from redepth.printable import code_span, one_line
from redepth.redaction import shown

UNTRAINED = "UNTRAINED: these models have weights from a seed; the scores are meaningless."
MAX_IMAGES_SHOWN = 50
NO_VALUE = "-"
_NUM_NAMED = 3
IMAGE_METRICS = "abs_rel", "rmse", "delta1", "edge_f1"

SUFFIXES: Mapping[TableFormat, str] = {
    TableFormat.MARKDOWN: ".md",
    TableFormat.LATEX: ".tex",
    TableFormat.JSON: ".json",
}


def render(scores: LabelScores, form: TableFormat) -> str:
    """Return a scores as text."""
    renderers: Mapping[TableFormat, Callable[[LabelScores], str]] = {
        TableFormat.MARKDOWN: as_markdown,
        TableFormat.LATEX: as_latex,
        TableFormat.JSON: as_json,
    }
    return renderers[form](scores)


def as_markdown(scores: LabelScores) -> str:
    """Return what was measured how, the set's scores and those of its first 50 images."""
    parts = [f"# {code_span(scores.recipe)} against {scores.dataset_format}"]
    if scores.untrained:
        parts.append(f"**{UNTRAINED}**")
    parts.append(bullets(conditions(scores, code_span)))
    parts += ["## The set", _set_table(score_rows(scores.images))]
    parts.append(bullets(confidence_lines(scores)))
    parts += _confidence_parts(scores)
    parts += ["## The images", _image_table(scores.images[:MAX_IMAGES_SHOWN])]
    if len(scores.images) > MAX_IMAGES_SHOWN:
        parts.append(f"... and {len(scores.images) - MAX_IMAGES_SHOWN} more in the JSON table")
    not_measured = {**scores.unmeasured, **scores.unreadable}
    if not_measured:
        lines = [f"{code_span(i)}: {code_span(why)}" for i, why in not_measured.items()]
        parts += ["## Not measured", bullets(lines)]
    return "\n\n".join(parts) + "\n"


def as_latex(scores: LabelScores) -> str:
    """Return the set's scores as a table of the package booktabs."""
    rows = score_rows(scores.images)
    lines = [
        *(f"% {line}" for line in conditions(scores)),
        r"\begin{tabular}{lrrrr}",
        r"\toprule",
        r"metric & coarse & refined & change & better \\",
        r"\midrule",
        *(_latex_row(row) for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if scores.untrained:
        lines.insert(0, f"% {UNTRAINED}")
    return "\n".join(lines) + "\n"


def as_json(scores: LabelScores) -> str:
    """Return everything, images and paths of their ground truth included; NaN is null."""
    reliability = stored_reliability(scores.images, scores.within)
    covered = coverage_of(scores.images, scores.promised)
    content = {
        "labels": scores.labels,
        "recipe": scores.recipe,
        "untrained": scores.untrained,
        "dataset_format": scores.dataset_format,
        "alignment": list(scores.alignments),
        "alignment_asked_for": scores.alignment,
        "conditions": conditions(scores),
        "scores": [_row_record(row) for row in score_rows(scores.images)],
        "ause": asdict(mean_ause(scores.images)),
        "kept": [asdict(row) for row in kept_rows(scores.images)],
        "coverage": None if covered is None else asdict(covered),
        "shift": scores.shift,
        "reliability": None if reliability is None else asdict(reliability),
        "images": [_image_record(image) for image in scores.images],
        "unmeasured": dict(scores.unmeasured),
        "unreadable": dict(scores.unreadable),
        "without_ground_truth": list(scores.unmatched),
        "ambiguous": {i: list(files) for i, files in scores.ambiguous.items()},
        "contradicting": dict(scores.contradicting),
    }
    return json.dumps(finite_json(content), indent=2, ensure_ascii=False) + "\n"


def conditions(scores: LabelScores, quoted: Callable[[str], str] = one_line) -> list[str]:
    """Say what was compared with what, and how: what a score cannot be read without.

    Args:
        quoted: makes a line of a name that somebody chose.
    """
    kinds = ", ".join(scores.kinds)
    lines = [
        f"labels: {quoted(shown(scores.labels))}",
        f"ground truth: {kinds} in {', '.join(scores.units)}; format {scores.dataset_format}",
        f"alignment: {alignment_words(scores)}",
        f"images: {len(scores.images)} measured, {len(scores.unmeasured)} not measurable, "
        f"{len(scores.unmatched)} without ground truth, "
        f"{scores.num_without_label} without label",
        f"labels are resized to the ground truth's size (bilinear){_each_aligned(scores)}",
        "in brackets: 95 % bootstrap interval over images; change = mean of refined - coarse",
        *(f"{what}: {len(left_out)}" for what, left_out in _left_out(scores) if left_out),
    ]
    if len(scores.alignments) > 1:
        lines.append("images were aligned in different ways: their means are of unlike things")
    if GroundTruthKind.DISPARITY in scores.kinds:
        lines.append("a disparity without calibration: AbsRel, SqRel and RMSE are of disparity")
    if len(scores.kinds) + len(scores.units) > 2:
        lines.append("kinds or units of ground truth are mixed: SqRel and RMSE have no unit here")
    return lines


def left_out_words(scores: LabelScores) -> list[str]:
    """Say what was left out and why, the first of each kind by name; empty where nothing was."""
    found = []
    for what, images in _left_out(scores):
        named = "; ".join(one_line(f"{image_id}: {why}") for image_id, why in images[:_NUM_NAMED])
        if images:
            more = "; ..." if len(images) > _NUM_NAMED else ""
            found.append(f"{what}: {len(images)} ({named}{more})")
    return found


def _left_out(scores: LabelScores) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what happened to images that were left out: in words, and (id, reason) of each."""
    ambiguous = [(i, ", ".join(files)) for i, files in scores.ambiguous.items()]
    return [
        ("images left out, their ground truth cannot be read", list(scores.unreadable.items())),
        ("images left out, nothing of them can be measured", list(scores.unmeasured.items())),
        ("images left out, several fit one file or several files fit", ambiguous),
        (
            "images left out, the file of their name lies in folders that contradict theirs",
            list(scores.contradicting.items()),
        ),
    ]


def confidence_lines(scores: LabelScores) -> list[str]:
    """Say what the stored confidence knows of the error."""
    found = stored_reliability(scores.images, scores.within)
    if found is None:
        return ["no confidence: an ensemble of one member, or maps that fell back"]
    covered = coverage_of(scores.images, scores.promised)
    return [
        f"AUSE {interval_words(mean_ause(scores.images))}: 0 is an oracle, 1 a random order",
        reliability_words(found),
        *([] if covered is None else [coverage_words(covered)]),
        *([] if scores.shift is None else [scores.shift]),
    ]


def reliability_words(found: Reliability) -> str:
    """Say how well a confidence does as a probability."""
    return (
        f"as a probability of lying within {found.within:g} of the ground truth: expected "
        f"calibration error {found.ece:.3f}; {found.share_right:.1%} of the pixels do"
    )


def interval_words(interval: MeanInterval) -> str:
    """Return a mean with its interval, which fewer than two images do not have."""
    if not math.isfinite(interval.low):
        return number(interval.mean)
    return f"{number(interval.mean)} [{number(interval.low)}, {number(interval.high)}]"


def change_words(row: ScoreRow) -> str:
    """Return a change in per cent of the coarse mean, its interval and what follows."""
    if not row.coarse.mean or not math.isfinite(row.relative_change):
        return interval_words(row.change)
    words = f"{row.relative_change:+.1%}"
    if not math.isfinite(row.change.low):
        return words
    ends = (row.change.low / row.coarse.mean, row.change.high / row.coarse.mean)
    return f"{words} [{ends[0]:+.1%}, {ends[1]:+.1%}] {row.verdict}"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is text and whose others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def bullets(lines: Sequence[str]) -> str:
    """Return a Markdown list."""
    return "\n".join(f"- {line}" for line in lines)


def number(value: float) -> str:
    """Return a number to four digits, a dash for NaN."""
    return f"{value:.4g}" if math.isfinite(value) else NO_VALUE


def finite_json(value: Any) -> Any:
    """Return a JSON value with NaN and infinity, which JSON does not have, as null."""
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite_json(entry) for entry in value]
    return value


def _confidence_parts(scores: LabelScores) -> list[str]:
    """Return what the confidence is good for, as far as there is one: kept shares, and coverage."""
    kept = kept_rows(scores.images)
    if not kept:
        return []
    parts = ["## What is left of the surest pixels", _kept_table(kept)]
    covered = coverage_of(scores.images, scores.promised)
    if covered is not None:
        parts += [
            "## Intervals",
            f"{coverage_words(covered)}. Truth and interval are compared {WORDS}.",
            _coverage_table(covered),
        ]
    return parts


def _kept_table(rows: Sequence[KeptRow]) -> str:
    head = ("surest pixels of each image", "AbsRel", "of that of all", "the best possible")
    return markdown_table(
        head,
        [
            (f"{r.share:.0%}", number(r.abs_rel), f"{r.relative:.0%}", f"{r.oracle:.0%}")
            for r in rows
        ],
    )


def _coverage_table(found: Coverage) -> str:
    return markdown_table(
        ("pixels", "images", "inside", "mean width"),
        [
            (code_span(row.group), str(row.num_images), f"{row.coverage:.1%}", number(row.width))
            for row in found.rows
        ],
    )


def _set_table(rows: Sequence[ScoreRow]) -> str:
    return markdown_table(
        ("metric", "coarse", "refined", "change", "images better"),
        [
            (
                TITLES[row.metric],
                interval_words(row.coarse),
                interval_words(row.refined),
                change_words(row),
                _share(row.share_better),
            )
            for row in rows
        ],
    )


def _image_table(images: Sequence[ImageScores]) -> str:
    shown = [m for m in IMAGE_METRICS if any(_known(image, m) for image in images)]
    head = ["image", "outcome", "pixels", "ground truth min / median / max"]
    head += [f"{TITLES[metric]} {which}" for metric in shown for which in ("coarse", "refined")]
    return markdown_table([*head, "AUSE"], [_image_row(image, shown) for image in images])


def _image_row(image: ImageScores, metrics: Sequence[str]) -> list[str]:
    found = image.depth_range
    values = (found.lowest, found.median, found.highest)
    row = [code_span(image.id), image.outcome.words, str(image.num_pixels)]
    row.append(f"{' / '.join(f'{value:.4g}' for value in values)} {image.unit}")
    for metric in metrics:
        row += [number(getattr(image.coarse, metric)), number(getattr(image.refined, metric))]
    return [*row, number(image.ause)]


def _latex_row(row: ScoreRow) -> str:
    title = TITLES[row.metric]
    for sign, command in (
        ("↓", r"$\downarrow$"),
        ("↑", r"$\uparrow$"),
        ("δ<", r"$\delta<$"),
        ("²", "$^2$"),
        ("³", "$^3$"),
    ):
        title = title.replace(sign, command)
    cells = [title, interval_words(row.coarse), interval_words(row.refined), change_words(row)]
    return " & ".join([*cells, _share(row.share_better)]).replace("%", r"\%") + r" \\"


def _row_record(row: ScoreRow) -> dict[str, Any]:
    return {**asdict(row), "relative_change": row.relative_change, "verdict": row.verdict}


def _image_record(image: ImageScores) -> dict[str, Any]:
    return {
        "id": image.id,
        "uri": image.uri,
        "outcome": image.outcome,
        "ground_truth": image.ground_truth,
        "alignment": image.alignment,
        "kind": image.kind,
        "unit": image.unit,
        "depth_range": asdict(image.depth_range),
        "num_pixels": image.num_pixels,
        "coarse": asdict(image.coarse),
        "refined": asdict(image.refined),
        "ause": image.ause,
    }


def alignment_words(scores: LabelScores) -> str:
    """Say which alignment was used, whether it was asked for, and how much it was given."""
    used = scores.alignments
    words = ", ".join(used) or "none was used"
    if GroundTruthKind.DISPARITY in scores.kinds:
        words += ", fitted to the disparity"
    if scores.alignment is None:
        words += " (default)"
    elif used and used != (scores.alignment,):
        words += f" (asked for: {scores.alignment})"
    fitted = " or ".join(str(count) for count in dict.fromkeys(NUM_FITTED[one] for one in used))
    return f"{words}; numbers fitted to each image's ground truth: {fitted or 0}"


def _known(image: ImageScores, metric: str) -> bool:
    return math.isfinite(getattr(image.refined, metric))


def _share(value: float) -> str:
    return f"{value:.0%}" if math.isfinite(value) else NO_VALUE


def _each_aligned(scores: LabelScores) -> str:
    fitted = any(NUM_FITTED[alignment] for alignment in scores.alignments)
    return "; each image is aligned by itself" if fitted else ""
