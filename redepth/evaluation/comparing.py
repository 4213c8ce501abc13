"""Two sets of labels of one collection: where they differ, and by how much."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from redepth.config import label_differences
from redepth.errors import ConfigError
from redepth.evaluation.evaluate import ImageScores, LabelScores
from redepth.evaluation.scores import TITLES, Doubles, resize_map
from redepth.evaluation.summary import ScoreRow, mean_ause, score_rows
from redepth.evaluation.tables import (
    UNTRAINED,
    alignment_words,
    bullets,
    change_words,
    finite_json,
    interval_words,
    markdown_table,
    number,
)
from redepth.geometry.alignment import fit_affine
from redepth.metrics.alignments import Alignment, as_disparity, default_alignment
from redepth.metrics.bootstrap import MeanInterval, bootstrap_mean
from redepth.printable import code_span
from redepth.redaction import shown
from redepth.store.reader import Labels, StoredLabel
from redepth.types import DepthKind, FloatMap, Outcome

Kinds = tuple[DepthKind | None, DepthKind | None]

RANGE_QUANTILES = 0.02, 0.98  # those of the catalogue's drift
MAX_IMAGES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class ComparedSet:
    """One of the two sets.

    Attributes:
        outcomes: of the images that both sets know.
        mean_confidence, mean_drift, mean_seconds: over the images that both know and that have
            the value. Seconds are those of work on an image, not what it costs an actor, which
            depends on the run's cores (docs/catalogue.md).
    """

    labels: str
    recipe: str
    untrained: bool
    outcomes: Mapping[Outcome, int]
    mean_confidence: float
    mean_drift: float
    mean_seconds: float


@dataclass(frozen=True, slots=True)
class ImageComparison:
    """One image in both sets; NaN where one of them has no label, or labels another photograph.

    Attributes:
        correlation: Spearman's, of the refined maps; 1 is the same order of depth.
        difference: mean |a second + b - first| / (98 % - 2 % quantile of first), a and b by least
            squares (1 and 0 if both are metres); the second is resized to the first.
        confidence, drift: of the first and the second.
        same_photograph: whether both label the same bytes, as far as their rows say which.
    """

    id: str
    uri: str
    outcomes: tuple[Outcome, Outcome]
    correlation: float
    difference: float
    confidence: tuple[float, float]
    drift: tuple[float, float]
    same_photograph: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class LabelComparison:
    """Two sets of labels side by side: what a table or a page draws.

    Attributes:
        first, second: the sets.
        settings: every setting in which their recipes differ, as "path: first -> second".
        images: those that both know, those that differ most first, without a label last.
        only_first, only_second: ids that one of them alone knows.
        correlation, difference: means over the images.
        scores: both against ground truth, over the same images; None where none was given.
    """

    first: ComparedSet
    second: ComparedSet
    settings: tuple[str, ...]
    images: tuple[ImageComparison, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    correlation: MeanInterval
    difference: MeanInterval
    scores: tuple[LabelScores, LabelScores] | None = field(default=None, repr=False)

    @property
    def num_replaced(self) -> int:
        """How many images are of other photographs in the two sets: they are not compared."""
        return sum(not image.same_photograph for image in self.images)

    @property
    def rows(self) -> tuple[ScoreRow, ...]:
        """The refined maps' scores: `coarse` of a row is the first set, `refined` the second."""
        if self.scores is None:
            return ()
        first, second = self.scores
        others = {image.id for image in self.images if not image.same_photograph}
        by_id = {image.id: image for image in second.images if image.id not in others}
        paired = [_side_by_side(i, by_id[i.id]) for i in first.images if i.id in by_id]
        return score_rows(paired)


def compare_labels(
    first: Labels,
    second: Labels,
    scores: tuple[LabelScores, LabelScores] | None = None,
    on_compared: Callable[[], object] = lambda: None,
) -> LabelComparison:
    """Compare two sets image by image, by id.

    Args:
        scores: of the two, where ground truth is known.
        on_compared: called after each image, for a progress bar.

    Raises:
        ConfigError: they have no image in common.
    """
    shared = common_ids(first, second)
    images = []
    for image_id in shared:
        images.append(compare_images(first[image_id], second[image_id]))
        on_compared()
    images.sort(key=lambda image: (math.isnan(image.difference), -image.difference, image.id))
    known = frozenset(shared)
    return LabelComparison(
        first=_compared_set(first, shared),
        second=_compared_set(second, shared),
        settings=tuple(label_differences(first.dataset.recipe, second.dataset.recipe)),
        images=tuple(images),
        only_first=tuple(image_id for image_id in first if image_id not in known),
        only_second=tuple(image_id for image_id in second if image_id not in known),
        correlation=bootstrap_mean([image.correlation for image in images]),
        difference=bootstrap_mean([image.difference for image in images]),
        scores=scores,
    )


def common_ids(first: Labels, second: Labels) -> tuple[str, ...]:
    """Return the ids that both sets know.

    Raises:
        ConfigError: there is none.
    """
    shared = tuple(image_id for image_id in first if image_id in second)
    if not shared:
        raise ConfigError(
            f"{first.url} and {second.url} have no image in common: two sets are compared by the "
            "ids of their images, which follow from where the photographs lie"
        )
    return shared


def compare_images(first: StoredLabel, second: StoredLabel) -> ImageComparison:
    """Compare one image's refined maps; of different kinds, as disparities."""
    correlation = difference = math.nan
    is_same = len({first.row.sha256, second.row.sha256} - {None}) < 2
    if is_same and first.row.outcome.has_label and second.row.outcome.has_label:
        kinds = first.row.kind, second.row.kind
        maps = common_maps((first.refined, second.refined), kinds)
        correlation, difference = _map_differences(maps, kinds)
    rows = first.row, second.row
    return ImageComparison(
        id=first.row.id,
        uri=first.row.uri,
        outcomes=(first.row.outcome, second.row.outcome),
        correlation=correlation,
        difference=difference,
        confidence=(_or_nan(rows[0].mean_confidence), _or_nan(rows[1].mean_confidence)),
        drift=(_or_nan(rows[0].drift), _or_nan(rows[1].drift)),
        same_photograph=is_same,
    )


def common_maps(maps: tuple[FloatMap, FloatMap], kinds: Kinds) -> tuple[Doubles, Doubles]:
    """Return two maps on the first one's grid, float64; of different kinds, both as disparities."""
    first_hw, second_hw = maps[0], resize_map(maps[1], (maps[0].shape[0], maps[0].shape[1]))
    if kinds[0] == kinds[1] or kinds[0] is None or kinds[1] is None:
        return first_hw.astype(np.float64), second_hw.astype(np.float64)
    return as_disparity(first_hw, kinds[0]), as_disparity(second_hw, kinds[1])


def align_second(maps: tuple[Doubles, Doubles], kinds: Kinds) -> Doubles:
    """Return the second map with the scale and shift that bring it closest to the first.

    Two metric maps are compared as they are. Pixels that one of the maps lacks are left out of the
    fit; without any other the map is returned as it is.
    """
    first_hw, second_hw = maps
    both_hw = np.isfinite(first_hw) & np.isfinite(second_hw)
    if all(kind is DepthKind.METRIC_DEPTH for kind in kinds) or not both_hw.any():
        return second_hw
    return fit_affine(second_hw, first_hw, both_hw).apply(second_hw)


def alignment_lines(comparison: LabelComparison) -> list[str]:
    """Say how the maps of each set were aligned to ground truth; one line where it is the same."""
    if comparison.scores is None:
        return []
    first, second = (alignment_words(scores) for scores in comparison.scores)
    return [f"maps: {first}"] if first == second else [f"first: {first}", f"second: {second}"]


def require_one_alignment(first: Labels, second: Labels, asked: Alignment | None) -> None:
    """Refuse to score two sets of other kinds unless an alignment is chosen for both.

    Raises:
        ConfigError: their defaults differ, so that their scores could not be compared.
    """
    kinds = [_kinds_of(labels) for labels in (first, second)]
    defaults = {default_alignment(kind) for found in kinds for kind in found}
    if asked is None and len(defaults) > 1:
        one, other = (" and ".join(sorted(found)) for found in kinds)
        raise ConfigError(
            f"{first.url} holds maps that are {one}, {second.url} maps that are {other}: scores of "
            f"different alignments ({', '.join(sorted(defaults))}) cannot be compared. Choose one "
            "for both, e.g. --align scale (1 number an image), or redepth (4)"
        )


def _kinds_of(labels: Labels) -> set[DepthKind]:
    column = labels.table(["kind"])["kind"].unique().to_pylist()
    return {DepthKind(kind) for kind in column if kind is not None}


def comparison_markdown(comparison: LabelComparison) -> str:
    """Return the comparison as Markdown, the 50 images that differ most among it."""
    first, second = comparison.first, comparison.second
    parts = [f"# {code_span(first.recipe)} and {code_span(second.recipe)}"]
    if first.untrained or second.untrained:
        parts.append(f"**{UNTRAINED}**")
    parts += [_sets_table(first, second), bullets(_lines(comparison))]
    if comparison.rows:
        said = bullets([f"alignment of the {line}" for line in alignment_lines(comparison)])
        parts += ["## Against ground truth", said, _scores_table(comparison)]
    parts += ["## The images, those that differ most first", _images_table(comparison)]
    return "\n\n".join(parts) + "\n"


def comparison_json(comparison: LabelComparison) -> str:
    """Return the comparison as JSON; NaN is null."""
    content: dict[str, Any] = {
        "first": asdict(comparison.first),
        "second": asdict(comparison.second),
        "settings": list(comparison.settings),
        "correlation": asdict(comparison.correlation),
        "difference": asdict(comparison.difference),
        "alignment": [list(scores.alignments) for scores in comparison.scores or ()],
        "scores": [asdict(row) for row in comparison.rows],
        "ause": [asdict(mean_ause(j.images)) for j in comparison.scores or ()],
        "images": [asdict(image) for image in comparison.images],
        "only_first": list(comparison.only_first),
        "only_second": list(comparison.only_second),
    }
    return json.dumps(finite_json(content), indent=2, ensure_ascii=False) + "\n"


def _map_differences(maps: tuple[Doubles, Doubles], kinds: Kinds) -> tuple[float, float]:
    """Return rank correlation and relative difference; NaN where a map has no range."""
    from scipy.stats import spearmanr

    first_hw, second_hw = maps
    both_hw = np.isfinite(first_hw) & np.isfinite(second_hw)
    first_n, second_n = first_hw[both_hw], second_hw[both_hw]
    if not first_n.size:
        return math.nan, math.nan
    low, high = np.quantile(first_n, RANGE_QUANTILES)
    if not high > low or not np.ptp(second_n) > 0:
        return math.nan, math.nan
    apart_n = np.abs(align_second(maps, kinds)[both_hw] - first_n)
    difference = float(np.mean(apart_n) / (high - low))
    return float(spearmanr(first_n, second_n).statistic), difference


def _compared_set(labels: Labels, shared: Sequence[str]) -> ComparedSet:
    rows = [labels[image_id].row for image_id in shared]
    outcomes = dict.fromkeys(Outcome, 0)
    for row in rows:
        outcomes[row.outcome] += 1
    return ComparedSet(
        labels=labels.url,
        recipe=labels.dataset.recipe_name,
        untrained=labels.dataset.untrained,
        outcomes=outcomes,
        mean_confidence=_mean(row.mean_confidence for row in rows),
        mean_drift=_mean(row.drift for row in rows),
        mean_seconds=_mean(row.seconds for row in rows),
    )


def _side_by_side(first: ImageScores, second: ImageScores) -> ImageScores:
    """Return a scores whose `coarse` and `refined` are the two sets' refined maps."""
    return replace(first, coarse=first.refined, refined=second.refined)


def _lines(comparison: LabelComparison) -> list[str]:
    apart = f"{len(comparison.only_first)} in the first alone, {len(comparison.only_second)} in the"
    return [
        f"{len(comparison.images)} images in both, {apart} second alone",
        *([replaced_words(comparison.num_replaced)] if comparison.num_replaced else []),
        f"rank correlation {interval_words(comparison.correlation)}",
        f"relative difference after alignment {interval_words(comparison.difference)}",
        *(f"differs: {code_span(setting)}" for setting in comparison.settings),
    ]


def replaced_words(number: int) -> str:
    """Say that photographs were replaced between the labelling of one set and of the other."""
    return (
        f"{number:,} of them labelled from other photographs (another sha256 under one id): not "
        "compared"
    )


def _sets_table(first: ComparedSet, second: ComparedSet) -> str:
    rows = [("labels", *(code_span(shown(one.labels)) for one in (first, second)))]
    rows += [
        (outcome.words, str(first.outcomes[outcome]), str(second.outcomes[outcome]))
        for outcome in Outcome
    ]
    for words, name in (
        ("mean confidence", "mean_confidence"),
        ("mean drift", "mean_drift"),
        ("seconds of work an image", "mean_seconds"),
    ):
        rows.append((words, number(getattr(first, name)), number(getattr(second, name))))
    return markdown_table(("", "first", "second"), rows)


def _scores_table(comparison: LabelComparison) -> str:
    rows = [
        (TITLES[row.metric], interval_words(row.coarse), interval_words(row.refined),
         change_words(row))
        for row in comparison.rows
    ]  # fmt: skip
    return markdown_table(("refined maps", "first", "second", "change"), rows)


def _images_table(comparison: LabelComparison) -> str:
    return markdown_table(
        ("image", "outcomes", "correlation", "difference", "confidence", "drift"),
        [
            (
                code_span(image.id),
                " / ".join(outcome.words for outcome in image.outcomes),
                number(image.correlation),
                number(image.difference),
                " / ".join(map(number, image.confidence)),
                " / ".join(map(number, image.drift)),
            )
            for image in comparison.images[:MAX_IMAGES_SHOWN]
        ],
    )


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
