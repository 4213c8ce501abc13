"""The page of two label sets of one collection: the same photographs, two labels each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from redepth.evaluation.comparing import (
    ComparedSet,
    ImageComparison,
    LabelComparison,
    align_second,
    alignment_lines,
    common_maps,
    replaced_words,
)
from redepth.evaluation.scores import TITLES
from redepth.evaluation.tables import NO_VALUE, change_words, interval_words
from redepth.metrics.bootstrap import MeanInterval
from redepth.quantities import CONFIDENCE
from redepth.redaction import shown
from redepth.report.cards import Card, ComparedGroup, Fact, Gallery, Scale, aspect_of, file_name
from redepth.report.charts import Chart, share_chart, unit_chart
from redepth.report.figures import histogram_of
from redepth.report.gallery import fetch_picture, spread_evenly, unread_words
from redepth.report.layers import (
    PICTURE_PX,
    Layer,
    colour_stops,
    coloured,
    depth_ends,
    photograph,
    relief,
)
from redepth.report.page_data import title_of, warnings_of
from redepth.report.pictures import (
    CONFIDENCE_COLOURS,
    DEPTH_COLOURS,
    ERROR_COLOURS,
    KIND_WORDS,
    LabelPicture,
)
from redepth.report.rendering import render_template
from redepth.store.reader import Labels
from redepth.types import DepthKind, FloatMap, Outcome

NUM_APART = 8
NUM_OUTCOMES = 4
NUM_SPREAD = 8
MAX_IMAGES_SHOWN = 50
_SHARES = np.linspace(0.0, 1.0, 8193)
_CORRELATIONS = np.linspace(-1.0, 1.0, 401)


@dataclass(frozen=True, slots=True)
class ComparisonPage:
    """All that the page of a comparison says.

    Attributes:
        sets: lines of (what, first, second).
        settings: those in which the recipes differ, in words.
        alignment: how the maps were aligned to ground truth, a line or two; empty without one.
        figures: lines of (figure, first, second, change), against ground truth; empty without one.
        images: lines of the images that differ most.
    """

    titles: tuple[str, str]
    made: str
    warnings: tuple[str, ...]
    headline: tuple[Fact, ...]
    charts: tuple[Chart, ...]
    sets: tuple[tuple[str, str, str], ...]
    settings: tuple[str, ...]
    alignment: tuple[str, ...]
    figures: tuple[tuple[str, str, str, str], ...]
    images: tuple[tuple[str, ...], ...]
    num_images: int
    gallery: Gallery


def render_comparison(page: ComparisonPage) -> str:
    """Return the page as one HTML document."""
    return render_template("comparison.html", {"page": page})


def read_comparison(
    found: LabelComparison,
    first: Labels,
    second: Labels,
    made: datetime,
    allow: Sequence[str] = (),
) -> ComparisonPage:
    """Draw a comparison: its figures, and the pictures of some images.

    Args:
        allow: roots of photographs, as `Labels.photographs` takes them.
    """
    warnings = dict.fromkeys((*warnings_of(first.dataset), *warnings_of(second.dataset)))
    return ComparisonPage(
        titles=(title_of(first.url), title_of(second.url)),
        made=f"{made:%Y-%m-%d %H:%M} UTC",
        warnings=tuple(warnings),
        headline=_headline(found),
        charts=_charts(found.images),
        sets=tuple(_sets(found.first, found.second)),
        settings=found.settings,
        alignment=tuple(alignment_lines(found)),
        figures=tuple(
            (TITLES[row.metric], interval_words(row.coarse), interval_words(row.refined),
             change_words(row))
            for row in found.rows
        ),
        images=tuple(_line(image) for image in found.images[:MAX_IMAGES_SHOWN]),
        num_images=len(found.images),
        gallery=_gallery(found, first, second, allow),
    )  # fmt: skip


def choose_images(images: Sequence[ImageComparison]) -> dict[str, ComparedGroup]:
    """Choose images that have both labels: most apart, another outcome, and some of the others.

    Two labels of two photographs are not put side by side.

    Args:
        images: those that differ most first.
    """
    both = [
        image
        for image in images
        if image.same_photograph and all(outcome.has_label for outcome in image.outcomes)
    ]
    most = min(max(len(both) // 4, 1), NUM_APART)
    chosen = {image.id: ComparedGroup.APART for image in both[:most]}
    rest = [image for image in both if image.id not in chosen]
    others = [image.id for image in rest if image.outcomes[0] is not image.outcomes[1]]
    chosen |= dict.fromkeys(others[:NUM_OUTCOMES], ComparedGroup.OUTCOMES)
    left = [image.id for image in rest if image.id not in chosen]
    return chosen | dict.fromkeys(spread_evenly(left, NUM_SPREAD), ComparedGroup.SPREAD)


def _headline(found: LabelComparison) -> tuple[Fact, ...]:
    apart = (
        f"{len(found.only_first):,} in the first alone, {len(found.only_second):,} in the second"
    )
    if found.num_replaced:
        apart += f"; {replaced_words(found.num_replaced)}"
    return (
        Fact("Images in both", f"{len(found.images):,}", apart),
        _mean_fact("Difference", found.difference, "of the first's range, aligned", "{:.1%}"),
        _mean_fact("Order kept", found.correlation, "rank correlation", "{:.3f}"),
    )


def _mean_fact(name: str, found: MeanInterval, words: str, form: str) -> Fact:
    interval = f"; 95% interval {_words(found.low, form)} to {_words(found.high, form)}"
    note = words if math.isnan(found.low) else words + interval
    return Fact(name, _words(found.mean, form), note)


def _charts(images: Sequence[ImageComparison]) -> tuple[Chart, ...]:
    differences = histogram_of(np.array([image.difference for image in images]), _SHARES)
    correlations = histogram_of(np.array([image.correlation for image in images]), _CORRELATIONS)
    if not differences.num_values:
        return ()
    return (
        share_chart("Difference", "difference of two labels (share of range)", differences),
        unit_chart("Order", "rank correlation of two labels (-1 to 1)", correlations),
    )


def _sets(first: ComparedSet, second: ComparedSet) -> Iterator[tuple[str, str, str]]:
    yield "labels", shown(first.labels), shown(second.labels)
    yield "recipe", first.recipe, second.recipe
    for outcome in Outcome:
        yield outcome.words, f"{first.outcomes[outcome]:,}", f"{second.outcomes[outcome]:,}"
    for words, name, form in (
        ("mean confidence", "mean_confidence", "{:.3f}"),
        ("mean drift (share of coarse range)", "mean_drift", "{:.1%}"),
        ("seconds of work an image", "mean_seconds", "{:.2f}"),
    ):
        yield words, _words(getattr(first, name), form), _words(getattr(second, name), form)


def _line(image: ImageComparison) -> tuple[str, ...]:
    return (
        file_name(image.uri),
        image.id,
        _words(image.difference, "{:.1%}"),
        _words(image.correlation, "{:.3f}"),
        *_pair_words(image),
    )


def _pair_words(image: ImageComparison) -> tuple[str, str, str]:
    """Return outcomes, confidences and drifts, each of the first and of the second."""
    first, second = (outcome.words for outcome in image.outcomes)
    return (
        f"both {first}" if first == second else f"{first} / {second}",
        " / ".join(_words(value, "{:.2f}") for value in image.confidence),
        " / ".join(_words(value, "{:.1%}") for value in image.drift),
    )


def _words(value: float, form: str) -> str:
    return form.format(value) if math.isfinite(value) else NO_VALUE


def _gallery(
    found: LabelComparison, first: Labels, second: Labels, allow: Sequence[str]
) -> Gallery:
    chosen = choose_images(found.images)
    by_id = {image.id: image for image in found.images}
    cards, kinds, unread = [], set(), []
    of_first, of_second = first.photographs(allow), second.photographs(allow)
    for image_id, group in chosen.items():
        pictures = (
            fetch_picture(first[image_id], of_first, PICTURE_PX),
            fetch_picture(second[image_id], of_second, PICTURE_PX),
        )
        cards.append(_card(by_id[image_id], group, *pictures))
        kinds.add(_shown_kind(*pictures))
        unread.append(pictures[0].unread)
    kind = min(kinds, default=DepthKind.AFFINE_DISPARITY)
    return Gallery(
        cards=tuple(cards),
        scales=_scales(kind),
        num_labels=len(found.images),
        kind_words=KIND_WORDS[kind],
        meanings={"confidence": CONFIDENCE.meaning},
        up_to_scale=kind is not DepthKind.METRIC_DEPTH,
        intro="The images that differ most, and some of the others.",
        unread=unread_words(unread),
        change_words="largest difference",
    )


def _card(
    image: ImageComparison, group: ComparedGroup, first: LabelPicture, second: LabelPicture
) -> Card:
    first_hw, second_hw = _common_scale(first, second)
    low, high = np.nanquantile(np.stack((first_hw, second_hw)), (0.01, 0.99))
    limits, kind = (float(low), float(high)), _shown_kind(first, second)
    maps = {"first label": first_hw, "second label": second_hw}
    layers = [
        coloured(n, m, limits, DEPTH_COLOURS, depth_ends(kind, *limits)) for n, m in maps.items()
    ]
    return Card(
        id=image.id,
        name=file_name(image.uri),
        groups=(group,),
        aspect=aspect_of(first),
        drift=None if math.isnan(image.difference) else image.difference,
        confidence=None,
        facts=tuple(_facts(image)),
        layers=(*layers, *_other_layers(first, second, first_hw, second_hw)),
        reliefs=tuple(relief(name, map_hw, limits, kind) for name, map_hw in maps.items()),
        right="second label",
    )  # fmt: skip


def _other_layers(
    first: LabelPicture, second: LabelPicture, first_hw: FloatMap, second_hw: FloatMap
) -> Iterator[Layer]:
    if first.photograph_hw3 is not None:
        yield photograph(first.photograph_hw3)
    low, high = np.nanquantile(first_hw, (0.02, 0.98))
    apart_hw = np.abs(second_hw - first_hw) / max(float(high - low), 1e-12)
    most = max(float(np.nanquantile(apart_hw, 0.99)), 1e-6)
    ends = ("0%", f"{most:.1%} of the range")
    yield coloured("difference", apart_hw, (0.0, most), ERROR_COLOURS, ends)
    for name, picture in (("first confidence", first), ("second confidence", second)):
        if np.isfinite(picture.confidence_hw).any():
            yield coloured(name, picture.confidence_hw, (0.0, 1.0), CONFIDENCE_COLOURS, ("0", "1"))


def _shown_kind(first: LabelPicture, second: LabelPicture) -> DepthKind:
    """Return the kind both maps are shown as: their own if it is one, else disparity."""
    kind = first.row.kind
    same = kind is not None and kind is second.row.kind
    return kind if kind is not None and same else DepthKind.AFFINE_DISPARITY


def _common_scale(first: LabelPicture, second: LabelPicture) -> tuple[FloatMap, FloatMap]:
    """Bring the second refined map to the first one's grid, kind, scale and shift.

    Of two metric maps to its grid alone.
    """
    kinds = first.row.kind, second.row.kind
    maps = common_maps((first.refined_hw, second.refined_hw), kinds)
    return maps[0].astype(np.float32), align_second(maps, kinds).astype(np.float32)


def _facts(image: ImageComparison) -> Iterator[Fact]:
    outcomes, confidences, drifts = _pair_words(image)
    yield Fact("Difference", _words(image.difference, "{:.1%}"))
    yield Fact("Order kept", _words(image.correlation, "{:.3f}"))
    yield Fact("Outcomes", outcomes)
    yield Fact("Confidence", confidences)
    yield Fact("Drift", drifts)


def _scales(kind: DepthKind) -> tuple[Scale, ...]:
    ends = ("near", "far") if kind is DepthKind.METRIC_DEPTH else depth_ends(kind, 0.0, 1.0)
    word = "disparity" if kind.grows_towards_camera else "depth"
    how = "in metres" if kind is DepthKind.METRIC_DEPTH else "the second aligned by scale and shift"
    aligned = f"{word}, {how}"
    sure, share = "from unsure to sure", "share of the first's range"
    return (
        Scale("depth", aligned, colour_stops(DEPTH_COLOURS), *ends),
        Scale("confidence", sure, colour_stops(CONFIDENCE_COLOURS), "0", "1"),
        Scale("difference", share, colour_stops(ERROR_COLOURS), "0", "large"),
    )
