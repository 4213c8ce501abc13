"""The lab's page: one document of Markdown with every table, good or bad."""

from __future__ import annotations

import math
from collections.abc import Sequence

from redepth.lab.confidence import (
    GOAL_AUSE,
    GOAL_ECE,
    ConfidenceReport,
    FittedCues,
    Ranking,
)
from redepth.lab.experiments import Condition, Group
from redepth.lab.measurement import Measurement
from redepth.lab.results import LabResult, change, hurt_families, kept_share
from redepth.lab.scoring import Region
from redepth.metrics.paired import PairedChange

UNTRAINED = "**UNTRAINED models (weights from a seed): these figures are meaningless.**"
NUM_WORST = 5
TABLE_HEAD = (
    "", "n", "AbsRel", "change [95 %]", "better", "RMSE", "d < 1.25", "d < 1.05", "normals",
    "normals change [95 %]", "edges F1", "DBE acc / comp",
)  # fmt: skip
FAMILY_HEAD = (
    "family", "n", "AbsRel coarse", "AbsRel", "change [95 %]", "better", "normals change [95 %]",
    "object AbsRel change [95 %]",
)  # fmt: skip


def lab_page(result: LabResult) -> str:
    """Return the page of a run."""
    sections = [_group_section(group, result.of_group(group)) for group in result.groups]
    parts = [_head(result), *sections]
    confidence = result.confidence()
    if confidence is not None:
        parts.append(_confidence_section(confidence))
    return "\n\n".join(parts) + "\n"


def headline(group: Group, measurements: Sequence[Measurement]) -> str:
    """Return one line: what the method did to a group's AbsRel and normals."""
    found = change(measurements, Condition.FULL, "abs_rel")
    normals = change(measurements, Condition.FULL, "normal_deg")
    if found is None or normals is None:
        return f"{group.name}: nothing measured"
    return (
        f"{group.name}: AbsRel {_interval(found)}, {found.share_better:.0%} of {found.num_images} "
        f"images better; normals {_interval(normals)}"
    )


def _head(result: LabResult) -> str:
    facts = result.facts
    models = ", ".join(f"{m.role} {m.name} ({m.source}, {m.sha256[:12]})" for m in facts.models)
    lines = [
        "# The lab",
        *([UNTRAINED] if facts.untrained else []),
        f"    {facts.command}",
        f"commit {facts.commit}; {facts.machine}; {facts.seconds / 60:.1f} minutes; "
        f"{result.count} held-out scenes a group at {facts.size_px} px, {facts.num_steps} steps, "
        f"ensembles of {facts.num_members}. Models: {models}.",
        f"Settings that are not the paper's: {'; '.join(facts.departures) or 'none'}.",
        "Changes are against the coarse map, paired over images, with the 95 % interval of "
        "Student's t; negative is better. `docs/lab.md` says how everything is measured.",
    ]
    return "\n\n".join(lines)


def _group_section(group: Group, measurements: Sequence[Measurement]) -> str:
    parts = [f"## {group.name}: {group.summary}", headline(group, measurements)]
    for region in Region:
        rows = [_condition_row(c, measurements, region) for c in group.conditions]
        title = "Whole picture" if region is Region.WHOLE else "The thing that the caption names"
        parts.append(f"{title}:\n\n{_table(TABLE_HEAD, [row for row in rows if row])}")
    expensive = Condition.OTHER_IMAGE in group.conditions
    share = kept_share(measurements, Condition.OTHER_IMAGE) if expensive else None
    if share is not None:
        parts.append(
            f"The gain in AbsRel that remains over another image of the family: {share.ratio:.0%} "
            f"[{share.low:.0%}, {share.high:.0%}]."
        )
    rows = [_family_row(family, measurements) for family in group.families]
    parts.append(f"By family, full method:\n\n{_table(FAMILY_HEAD, [row for row in rows if row])}")
    parts.append(_where_it_hurts(measurements))
    return "\n\n".join(parts)


def _condition_row(
    condition: Condition, measurements: Sequence[Measurement], region: Region
) -> tuple[str, ...]:
    names = ("abs_rel", "rmse", "delta1", "delta_1_05", "normal_deg", "edge_f1",
             "edge_accuracy_px", "edge_completeness_px")  # fmt: skip
    found = {name: change(measurements, condition, name, region) for name in names}
    error, normals = found["abs_rel"], found["normal_deg"]
    if error is None or normals is None:
        return ()
    itself = condition is Condition.COARSE
    return (
        condition.summary,
        str(error.num_images),
        f"{error.after:.4f}",
        "" if itself else _interval(error),
        "" if itself else f"{error.share_better:.0%}",
        _after(found["rmse"], "{:.4f}"),
        _after(found["delta1"], "{:.3f}"),
        _after(found["delta_1_05"], "{:.3f}"),
        f"{normals.after:.2f}",
        "" if itself else _interval(normals),
        _after(found["edge_f1"], "{:.3f}"),
        f"{_after(found['edge_accuracy_px'], '{:.2f}')} / "
        f"{_after(found['edge_completeness_px'], '{:.2f}')}",
    )


def _family_row(family: str, measurements: Sequence[Measurement]) -> tuple[str, ...]:
    own = [m for m in measurements if m.subject.family == family]
    error = change(own, Condition.FULL, "abs_rel")
    normals = change(own, Condition.FULL, "normal_deg")
    thing = change(own, Condition.FULL, "abs_rel", Region.OBJECT)
    if error is None or normals is None:
        return ()
    return (
        family,
        str(error.num_images),
        f"{error.before:.4f}",
        f"{error.after:.4f}",
        _interval(error),
        f"{error.share_better:.0%}",
        _interval(normals),
        "" if thing is None else _interval(thing),
    )


def _where_it_hurts(measurements: Sequence[Measurement]) -> str:
    """Name families and images that the method makes worse."""
    lines = []
    for figure, words in (("abs_rel", "AbsRel"), ("normal_deg", "normals")):
        families = hurt_families(measurements, figure)
        lines.append(f"{words} worse beyond doubt in: {', '.join(families) or 'no family'}.")
    worst = sorted(((c, name) for name, c in _image_changes(measurements) if c > 0), reverse=True)
    named = ", ".join(f"{name} {c:+.0%}" for c, name in worst[:NUM_WORST])
    lines.append(f"Images whose AbsRel got worse: {len(worst)}; the worst: {named or 'none'}.")
    return " ".join(lines)


def _image_changes(measurements: Sequence[Measurement]) -> list[tuple[str, float]]:
    return [
        (f"{m.subject.family} {m.subject.seed}", found.change)
        for m in measurements
        if (found := change([m], Condition.FULL, "abs_rel")) is not None
    ]


def _confidence_section(report: ConfidenceReport) -> str:
    order_head = ("order of the pixels", "AUSE / random", "against slope [95 %]", "images better")
    calibration_head = ("probability of", "from", "ECE", "share that is", "intercept", "weights")
    return "\n\n".join(
        (
            "## Confidence",
            f"Fitted on {report.num_tuning} tuning scenes, tested on {report.num_held_out} "
            "held-out ones. AUSE / random: 0 is an oracle, 1 a random order.",
            _table(order_head, [_ranking_row(ranking) for ranking in report.rankings]),
            _table(calibration_head, [_fit_row(fit) for fit in report.fits]),
            f"Goals: AUSE / random <= {GOAL_AUSE:g} and below the slope's; ECE <= {GOAL_ECE:g}.",
        )
    )


def _ranking_row(ranking: Ranking) -> tuple[str, ...]:
    found = ranking.against_slope
    if found is None:
        return ranking.name, f"{ranking.ause:.3f}", "", ""
    return ranking.name, f"{ranking.ause:.3f}", _interval(found), f"{found.share_better:.0%}"


def _fit_row(fit: FittedCues) -> tuple[str, ...]:
    weights = fit.mapping.weights()
    return (
        f"within {fit.mapping.within:g}",
        fit.name,
        f"{fit.reliability.ece:.3f}",
        f"{fit.reliability.share_right:.3f}",
        f"{fit.mapping.intercept:.3f}",
        ", ".join(f"{weights[cue]:.3f}" for cue in fit.cues),
    )


def _interval(found: PairedChange) -> str:
    if math.isnan(found.low):
        return f"{found.change:+.1%} [one image]"
    return f"{found.change:+.1%} [{found.low:+.1%}, {found.high:+.1%}]"


def _after(found: PairedChange | None, form: str) -> str:
    return "-" if found is None else form.format(found.after)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
