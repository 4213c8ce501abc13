"""The page of an output: its values, and the one HTML file that they become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redepth.images.noticed import ListingFault, PassedOver
from redepth.report.cards import Fact, Gallery
from redepth.report.charts import Chart
from redepth.report.rendering import render_template
from redepth.types import ModelCard, Outcome


@dataclass(frozen=True, slots=True)
class Trouble:
    """An image without a label."""

    id: str
    name: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many images ended so for a reason."""

    outcome: Outcome
    reason: str
    num_images: int


@dataclass(frozen=True, slots=True)
class PageData:
    """All that the page says.

    Attributes:
        title: of the collection's output; `labels` is its URL.
        warnings: what has to be known before anything else is believed.
        methods: labels by the method that made them, the most frequent first; empty of a recipe
            with one.
        headline: figures for a first look.
        speed: how busy the models were in the last run, and what waited for what.
        troubles: up to some number of images without a label; `num_troubles` counts all.
        faults: up to some number of places that could not be listed; `num_faults` counts all.
        passed_over: files that are no photographs by their names, by kind.
        settings: of the recipe, path -> value.
    """

    title: str
    labels: str
    recipe_name: str
    recipe_digest: str
    made: str
    warnings: tuple[str, ...]
    outcomes: Mapping[Outcome, int]
    methods: Mapping[str, int]
    headline: tuple[Fact, ...]
    speed: tuple[Fact, ...]
    charts: tuple[Chart, ...]
    gallery: Gallery
    reasons: tuple[ReasonCount, ...]
    troubles: tuple[Trouble, ...]
    num_troubles: int
    faults: tuple[ListingFault, ...]
    num_faults: int
    passed_over: tuple[PassedOver, ...]
    models: tuple[ModelCard, ...]
    software: Mapping[str, str]
    settings: Mapping[str, str]

    @property
    def num_images(self) -> int:
        return sum(self.outcomes.values())


def render_page(page: PageData) -> str:
    """Return the page as one HTML document."""
    return render_template("report.html", {"page": page})
