"""What a run of the lab found, as tables of paired changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from redepth.evaluation.scores import Scores, larger_is_better
from redepth.evaluation.tables import finite_json
from redepth.lab.confidence import ConfidenceReport, report_confidence
from redepth.lab.experiments import CONFIDENCE, Condition, Group
from redepth.lab.measurement import Measurement
from redepth.lab.scoring import Region
from redepth.metrics.bootstrap import RatioInterval, bootstrap_ratio
from redepth.metrics.paired import PairedChange, paired_change
from redepth.scenes.scene import Split
from redepth.types import ModelCard


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a run was: enough to repeat it.

    Attributes:
        command: as typed.
        commit: of the repository, "unknown" outside of one, "+" behind it for a changed tree.
        machine: processor and number of processes.
        seconds: wall time.
        departures: the method's settings that are not the paper's, in words.
    """

    command: str
    commit: str
    machine: str
    seconds: float
    size_px: int
    num_steps: int
    num_members: int
    departures: tuple[str, ...]
    models: tuple[ModelCard, ...]

    @property
    def untrained(self) -> bool:
        """Whether a model's weights came from a seed: the figures then mean nothing."""
        return any(model.untrained for model in self.models)


@dataclass(frozen=True, slots=True, eq=False)
class LabResult:
    """A run of the lab."""

    facts: RunFacts
    groups: tuple[Group, ...]
    count: int
    measurements: tuple[Measurement, ...]

    def of_group(self, group: Group) -> list[Measurement]:
        """Return the held-out measurements of a group."""
        wanted = {(name, seed) for name in group.families for seed in group.seeds(name, self.count)}
        return [
            m
            for m in self.measurements
            if m.subject.split is Split.HELD_OUT and (m.subject.family, m.subject.seed) in wanted
        ]

    def confidence(self) -> ConfidenceReport | None:
        """Fit and test the confidence; None without its group or with an ensemble of 1."""
        tuning = [m.pixels for m in self.measurements if m.subject.split is Split.TUNING]
        held_out = [m.pixels for m in self.of_group(CONFIDENCE)]
        return report_confidence(
            [pixels for pixels in tuning if pixels], [pixels for pixels in held_out if pixels]
        )


def change(
    measurements: Sequence[Measurement],
    condition: Condition,
    figure: str,
    region: Region = Region.WHOLE,
    before: Condition = Condition.COARSE,
) -> PairedChange | None:
    """Return how a figure of `Scores` changed from one condition to another, image by image.

    None where no image has both.
    """
    pairs = [
        (_figure(m.scores[before][region], figure), _figure(m.scores[condition][region], figure))
        for m in measurements
        if before in m.scores and condition in m.scores and region in m.scores[condition]
    ]
    if not pairs:
        return None
    first, second = zip(*pairs, strict=True)
    return paired_change(first, second, larger_is_better=larger_is_better(figure))


def kept_share(measurements: Sequence[Measurement], control: Condition) -> RatioInterval | None:
    """Return what share of the method's gain in AbsRel a control keeps, with its interval.

    None where the method has no gain to share: its mean change is not below 0.
    """
    both = [m for m in measurements if control in m.scores and Condition.FULL in m.scores]
    kept, full = (
        [_abs_rel(m, Condition.COARSE) - _abs_rel(m, condition) for m in both]
        for condition in (control, Condition.FULL)
    )
    if not both or sum(full) <= 0:
        return None
    return bootstrap_ratio(kept, full)


def hurt_families(measurements: Sequence[Measurement], figure: str) -> list[str]:
    """Name the families that the method makes worse: the whole interval lies above 0."""
    worse = []
    for family in dict.fromkeys(m.subject.family for m in measurements):
        own = [m for m in measurements if m.subject.family == family]
        found = change(own, Condition.FULL, figure)
        if found is not None and found.worsened:
            worse.append(family)
    return worse


def as_json(result: LabResult) -> str:
    """Return a run as JSON: what it was, and every figure of every image."""
    facts = asdict(result.facts)
    confidence = result.confidence()
    document = {
        **facts,
        "count": result.count,
        "groups": {group.name: list(group.families) for group in result.groups},
        "confidence": None if confidence is None else _confidence_json(confidence),
        "images": [_image_json(m) for m in result.measurements],
    }
    return json.dumps(document, indent=1) + "\n"


def _image_json(measurement: Measurement) -> dict[str, object]:
    subject = measurement.subject
    return {
        "family": subject.family,
        "seed": subject.seed,
        "split": subject.split.value,
        "caption": measurement.caption,
        "seconds": round(measurement.seconds, 2),
        "scores": {
            condition.value: {region.value: finite_json(asdict(s)) for region, s in regions.items()}
            for condition, regions in measurement.scores.items()
        },
    }


def _confidence_json(report: ConfidenceReport) -> dict[str, object]:
    return {
        "num_tuning": report.num_tuning,
        "num_held_out": report.num_held_out,
        "ause_over_random": {ranking.name: ranking.ause for ranking in report.rankings},
        "fits": [
            {"cues": fit.cues, **fit.mapping.model_dump(), **asdict(fit.reliability)}
            for fit in report.fits
        ],
    }


def _abs_rel(measurement: Measurement, condition: Condition) -> float:
    return measurement.scores[condition][Region.WHOLE].abs_rel


def _figure(scores: Scores, name: str) -> float:
    value: float = getattr(scores, name)
    return value
