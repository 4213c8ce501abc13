"""Read from an output what its page shows: sums over all rows, pictures of a few labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from redepth.config import Cost
from redepth.costing.estimate import cost_of
from redepth.costing.run_speed import RunSpeed
from redepth.images.locator import Photographs
from redepth.quantities import confidence_words
from redepth.redaction import shown
from redepth.refiners.triage import routing_facts
from redepth.report.cards import (
    Fact,
    Gallery,
    card_of,
    file_name,
    scales_of,
)
from redepth.report.charts import Chart, budget_chart, charts_of
from redepth.report.figures import NUM_TROUBLES, CatalogueFigures, Group, read_figures
from redepth.report.gallery import fetch_picture, unread_words
from redepth.report.layers import PICTURE_PX
from redepth.report.page import PageData, ReasonCount, Trouble
from redepth.report.pictures import KIND_WORDS, UNTRAINED_WARNING, LabelPicture
from redepth.store import catalogue
from redepth.store.dataset import Dataset
from redepth.store.kept import num_kept_lately
from redepth.store.manifest import latest_notices
from redepth.store.objects import open_objects
from redepth.store.reader import Labels, StoredLabel, open_labels
from redepth.store.run_record import last_speed
from redepth.types import DepthKind, ModelCard, Outcome

MAX_REASONS_SHOWN = 30
KEPT_NOTE = "in the last run: the photographs were touched but have the same bytes"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of the run that has just ended and nowhere written down.

    Attributes:
        num_images: that it gave an outcome, without those whose label was kept.
    """

    num_images: int
    seconds: float


def read_page(
    out: str,
    cost: Cost,
    made: datetime,
    run: RunFacts | None = None,
    photographs: Photographs | None = None,
) -> PageData:
    """Read an output's page: one pass over some columns, and the maps of some labels.

    Args:
        photographs: opens those of the labels; None reads what `Labels.photographs` allows.
    """
    labels = open_labels(out)
    figures = read_figures(out)
    groups = _groups_by_id(figures)
    photographs = photographs or labels.photographs()
    pictures = list(_pictures(labels, figures, groups, photographs))
    kind = next((p.row.kind for p in pictures if p.row.kind), DepthKind.AFFINE_DISPARITY)
    prompt = _usual_prompt(labels.dataset)
    objects = open_objects(out)
    notices, speed = latest_notices(objects), last_speed(objects)
    return PageData(
        title=title_of(out),
        labels=shown(out),
        recipe_name=labels.dataset.recipe_name,
        recipe_digest=labels.dataset.recipe_digest,
        made=f"{made:%Y-%m-%d %H:%M} UTC",
        warnings=(*warnings_of(labels.dataset), *_unrefined(figures)),
        outcomes=figures.outcomes,
        methods=dict(Counter(figures.methods).most_common()),
        headline=_headline(figures, cost, run, speed, num_kept_lately(objects)),
        speed=() if speed is None else tuple(_where_time_went(speed)),
        charts=(
            *charts_of(figures, kind, _drawn_at_random(pictures, figures)),
            *_budget_charts(figures, labels.dataset),
        ),
        gallery=Gallery(
            cards=tuple(card_of(p, groups.get(p.row.id, ()), prompt) for p in pictures),
            scales=scales_of(kind, pictures),
            num_labels=figures.num_labels,
            kind_words=KIND_WORDS[kind],
            confidence_words=confidence_words(labels.dataset.recorded.confidence_within),
            up_to_scale=kind is not DepthKind.METRIC_DEPTH,
            intro=_intro(len(pictures), figures.num_labels),
            unread=unread_words(picture.unread for picture in pictures),
        ),
        reasons=_reasons(figures),
        troubles=tuple(_trouble(row) for row in figures.chosen[Group.TROUBLE].to_pylist()),
        num_troubles=figures.num_images - figures.num_labels,
        faults=notices.faults[:NUM_TROUBLES],
        num_faults=len(notices.faults),
        passed_over=notices.passed_over,
        models=labels.dataset.models,
        software=labels.dataset.software,
        settings=dict(_flat(labels.dataset.recipe)),
    )


def _budget_charts(figures: CatalogueFigures, dataset: Dataset) -> Iterator[Chart]:
    routing = routing_facts(dataset.models)
    if routing is not None and figures.methods:
        yield budget_chart(figures.methods, routing)


def _intro(num_shown: int, num_labels: int) -> str:
    if num_shown == num_labels:
        return "Every label."
    some = f"{num_shown} of {num_labels:,}"
    return f"The extremes, and some labels drawn at random to judge the rest by: {some}."


def _pictures(
    labels: Labels,
    figures: CatalogueFigures,
    groups: Mapping[str, tuple[Group, ...]],
    photographs: Photographs,
) -> Iterator[LabelPicture]:
    """Read the chosen labels, those of a shard together."""
    chosen = {
        (line["shard"], line["id"])
        for group in Group
        if group is not Group.TROUBLE
        for line in figures.chosen[group].to_pylist()
        if group is Group.RANDOM or line["id"] in groups
    }
    objects = open_objects(labels.url)
    for shard, pairs in groupby(sorted(chosen), key=lambda pair: pair[0]):
        part = catalogue.read_fragment(objects, shard)
        wanted = {image_id for _, image_id in pairs}
        for row in [] if part is None else part.rows():
            if row.id in wanted:
                yield fetch_picture(StoredLabel(row, labels), photographs, PICTURE_PX)


def _groups_by_id(figures: CatalogueFigures) -> dict[str, tuple[Group, ...]]:
    """Say why each label is there; an extreme is at most a quarter of all labels."""
    found: dict[str, tuple[Group, ...]] = defaultdict(tuple)
    most = max(figures.num_labels // 4, 1)
    extremes = dict.fromkeys((Group.SUREST, Group.CHANGED, Group.UNSURE), most)
    for group in Group:
        ids = figures.chosen[group]["id"].to_pylist()
        if group is Group.RANDOM and len(ids) == figures.num_labels:
            continue  # nothing was drawn: all are there
        for image_id in ids[: extremes.get(group)]:
            found[image_id] = (*found[image_id], group)
    return dict(found)


def _usual_prompt(dataset: Dataset) -> str | None:
    """Return the prompt of images that have no caption of their own; of a cascade, its methods'."""
    refiner = dataset.recipe.get("refiner", {})
    inner = [values for values in refiner.values() if isinstance(values, Mapping)]
    captions = [values.get("caption") for values in (refiner, *inner)]
    prompts = [caption.get("prompt") for caption in captions if isinstance(caption, Mapping)]
    return next(iter(prompts), None)


def _drawn_at_random(
    pictures: Sequence[LabelPicture], figures: CatalogueFigures
) -> list[LabelPicture]:
    drawn = set(figures.chosen[Group.RANDOM]["id"].to_pylist())
    return [picture for picture in pictures if picture.row.id in drawn]


def title_of(out: str) -> str:
    """Return the last two folders of the output's URL: the very last is often just "labels"."""
    url = shown(out).partition("?")[0]
    return "/".join(PurePosixPath(url.partition("://")[2] or url).parts[-2:])


def _unrefined(figures: CatalogueFigures) -> list[str]:
    """Say so where no label differs from its coarse map."""
    if not figures.drift.num_values or figures.drift.mean:
        return []
    return ["Nothing was refined: every label is its coarse map."]


def warnings_of(dataset: Dataset) -> tuple[str, ...]:
    """Return what has to be known of the models before their labels are looked at."""
    found = [f"{UNTRAINED_WARNING}."] if dataset.untrained else []
    if not dataset.untrained and any(_is_mini(model) for model in dataset.models):
        found.append(
            "Made with the small models that come with redepth: they show that the machinery "
            "runs and what a result looks like. Do not judge depth by them."
        )
    found += [
        f"Not for commercial use: {model.name} is under {model.licence}."
        for model in dataset.models
        if model.non_commercial
    ]
    return tuple(found)


def _is_mini(model: ModelCard) -> bool:
    return model.name.startswith("mini/")


def _headline(
    figures: CatalogueFigures,
    cost: Cost,
    run: RunFacts | None,
    speed: RunSpeed | None,
    num_kept: int,
) -> tuple[Fact, ...]:
    # Where no run has left its record, an actor is taken to have had one core.
    seconds = figures.stages.of_actor(1 if speed is None else speed.decoders)
    facts = [
        Fact("Images", f"{figures.num_images:,}", f"{figures.num_labels:,} with a label"),
        *([Fact("Labels kept", f"{num_kept:,}", KEPT_NOTE)] if num_kept else []),
        *_speed(figures, seconds, run),
        *_spent(figures, seconds, cost),
        *_means(figures),
    ]
    return tuple(facts)


def _where_time_went(speed: RunSpeed) -> Iterator[Fact]:
    for name, words in speed.facts():
        yield Fact(f"{name[0].upper()}{name[1:]}", words)


def _speed(figures: CatalogueFigures, seconds: float | None, run: RunFacts | None) -> list[Fact]:
    if not seconds:
        return []
    devices = ", ".join(sorted(figures.devices)) or "device unknown"
    return [
        Fact("Seconds a label", f"{seconds:.3g}", f"mean, one actor, {devices}"),
        _rate(3600.0 / seconds, run),
    ]


def _rate(of_an_actor: float, run: RunFacts | None) -> Fact:
    """Say what the run came to if there was one, else what an actor does."""
    if run is None or not run.num_images:
        return Fact("Images an hour", _thousands(of_an_actor), "one actor, once it is running")
    rate = run.num_images * 3600.0 / max(run.seconds, 1e-3)
    minutes = f"{run.num_images:,} in {run.seconds / 60:.1f} minutes, start included"
    note = f"the run: {minutes}; {_thousands(of_an_actor)} an actor"
    return Fact("Images an hour", _thousands(rate), note)


def _spent(figures: CatalogueFigures, seconds: float | None, cost: Cost) -> list[Fact]:
    """Say what the labels cost by the seconds of their rows; nothing where there are none."""
    if seconds is None:
        return []
    hours = figures.stages.num_timed * seconds / 3600.0
    spent, each = cost_of(hours, cost), cost_of(1000 * seconds / 3600.0, cost)
    if spent is None or each is None:
        return [Fact("Actor hours", _hours(hours), "no price stated")]
    words = f"{_hours(hours)} actor hours; {each:,.2f} per 1000 labels"
    return [Fact("Cost", f"{spent:,.2f} {cost.currency}", words)]


def _means(figures: CatalogueFigures) -> list[Fact]:
    found = []
    if figures.confidence.num_values:
        mean = figures.confidence.mean
        found.append(Fact("Confidence", f"{mean:.2f}", "mean over labels; 1 is sure"))
    if figures.drift.num_values and figures.drift.mean:
        mean = figures.drift.mean
        found.append(Fact("Drift", f"{mean:.1%}", "mean, of the coarse map's range"))
    return found


def _hours(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"


def _thousands(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _reasons(figures: CatalogueFigures) -> tuple[ReasonCount, ...]:
    ranked = sorted(figures.reasons.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        ReasonCount(outcome, reason, number)
        for (outcome, reason), number in ranked[:MAX_REASONS_SHOWN]
    )


def _trouble(line: Mapping[str, Any]) -> Trouble:
    return Trouble(
        line["id"],
        file_name(line["uri"]),
        Outcome(line["outcome"]),
        line["reason"] or "not recorded",
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every setting that has a value, by its path."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", str(value)
