"""The gallery of a page: what a card shows of one label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

import numpy as np

from redepth.report.figures import Group
from redepth.report.layers import Layer, Relief, colour_stops, depth_ends, layers_of, reliefs_of
from redepth.report.pictures import (
    CONFIDENCE_COLOURS,
    DEPTH_COLOURS,
    ERROR_COLOURS,
    LabelPicture,
)
from redepth.types import DepthKind, LabelRow, Outcome


class ComparedGroup(StrEnum):
    """Why a label was chosen for the gallery of a comparison."""

    APART = "apart"
    OUTCOMES = "outcomes"
    SPREAD = "spread"

    @property
    def words(self) -> str:
        """The group as a person reads it."""
        return _COMPARED_WORDS[self]


_COMPARED_WORDS = {
    ComparedGroup.APART: "differs most",
    ComparedGroup.OUTCOMES: "another outcome",
    ComparedGroup.SPREAD: "one of the others",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A name, its value, and what has to be said with it."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One label of the gallery.

    Attributes:
        name: of the photograph's file.
        groups: why it was chosen.
        aspect: width over height of the photograph, or of the label where there is none.
        drift, confidence: see `LabelRow`.
        layers: never empty; the first one is shown at the left and `right` at the right.
        reliefs: shapes of a point cloud, the last one shown first.
        outcome: None where a card is of two labels.
    """

    id: str
    name: str
    groups: tuple[Group | ComparedGroup, ...]
    aspect: float
    drift: float | None
    confidence: float | None
    facts: tuple[Fact, ...]
    layers: tuple[Layer, ...]
    reliefs: tuple[Relief, ...]
    outcome: Outcome | None = None
    caption: str | None = None
    reason: str | None = None
    right: str = "refined"

    @property
    def left(self) -> str:
        return self.layers[0].name

    @property
    def shapes(self) -> dict[str, str]:
        """The reliefs by name."""
        return {relief.name: relief.uri for relief in self.reliefs}


@dataclass(frozen=True, slots=True)
class Scale:
    """A colour map as the gallery uses it: a CSS gradient from low to high, and its two ends."""

    name: str
    words: str
    stops: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """Some labels to look at.

    Attributes:
        num_labels: of the output, of which `cards` shows some.
        kind_words: what a number of a map means.
        meanings: what confidence, lower and upper mean, by name.
        up_to_scale: whether scale and shift of the shapes are unknown.
        intro: how the labels were chosen.
        change_words: the order by `Card.drift`.
        unread: how many photographs are not shown, and why; None where all are.
    """

    cards: tuple[Card, ...]
    scales: tuple[Scale, ...]
    num_labels: int
    kind_words: str
    meanings: Mapping[str, str]
    up_to_scale: bool
    intro: str
    change_words: str = "largest drift"
    unread: str | None = None

    @property
    def groups(self) -> tuple[Group | ComparedGroup, ...]:
        """The groups that a card belongs to, in their order."""
        known = (*Group, *ComparedGroup)
        return tuple(g for g in known if any(g in card.groups for card in self.cards))

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The layers that a card has, in their order."""
        return tuple(dict.fromkeys(layer.name for card in self.cards for layer in card.layers))

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes that a card may have; none where cards are of two labels."""
        own = any(card.outcome is not None for card in self.cards)
        return tuple(outcome for outcome in Outcome if own and outcome.has_label)


def card_of(picture: LabelPicture, groups: tuple[Group, ...], usual_prompt: str | None) -> Card:
    """Return the card of one label."""
    row = picture.row
    return Card(
        id=row.id,
        name=file_name(row.uri),
        outcome=row.outcome,
        groups=groups,
        aspect=aspect_of(picture),
        drift=row.drift,
        confidence=row.mean_confidence,
        facts=tuple(_card_facts(picture)),
        layers=layers_of(picture),
        reliefs=reliefs_of(picture),
        caption=None if row.caption == usual_prompt else row.caption,
        reason=row.reason,
    )


def _card_facts(picture: LabelPicture) -> Iterator[Fact]:
    row = picture.row
    if row.mean_confidence is not None:
        yield Fact("Confidence", f"{row.mean_confidence:.2f}")
    if row.drift:  # none of a recipe that keeps the coarse map
        yield Fact("Drift", f"{row.drift:.1%}")
    if row.rank_correlation is not None:
        yield Fact("Order kept", f"{row.rank_correlation:.3f}")
    if picture.errors is not None:
        yield Fact("Coarse error", f"{np.nanmean(picture.errors.coarse_hw):.1%}", "AbsRel")
        yield Fact("Refined error", f"{np.nanmean(picture.errors.refined_hw):.1%}", "AbsRel")
    yield Fact("Label", f"{row.width_px} x {row.height_px} px", _size_note(row))
    if row.far_share is not None:
        yield Fact("Beyond the far limit", f"{row.far_share:.1%}")
    if row.num_members:
        yield Fact("Members", str(row.num_members))
    if row.refined_by is not None:
        yield Fact("Refined by", row.refined_by)
    if row.predicted_gain is not None:
        yield Fact("Predicted gain", f"{row.predicted_gain:.1%}", "of the coarse map's range")
    if row.seconds is not None:
        yield Fact("Time", f"{row.seconds:.2f} s", row.device or "")


def _size_note(row: LabelRow) -> str:
    if row.image_width_px is None:
        return ""
    return f"of {row.image_width_px} x {row.image_height_px} px"


def aspect_of(picture: LabelPicture) -> float:
    """Return width over height of the photograph, or of the label where there is none."""
    shown_hw = picture.coarse_hw if picture.photograph_hw3 is None else picture.photograph_hw3
    return float(shown_hw.shape[1] / shown_hw.shape[0])


def file_name(uri: str) -> str:
    """Return the last part of a photograph's path."""
    return PurePosixPath(uri.partition("::")[0].partition("?")[0]).name or uri


def scales_of(kind: DepthKind, pictures: Sequence[LabelPicture]) -> tuple[Scale, ...]:
    """Return the colour maps that are used."""
    word = "disparity" if kind.grows_towards_camera else "depth"
    ends = ("near", "far") if kind is DepthKind.METRIC_DEPTH else depth_ends(kind, 0.0, 1.0)
    unit = "in metres" if kind is DepthKind.METRIC_DEPTH else "up to scale and shift"
    words = f"{word} {unit}, coarse and refined on one scale per card"
    found = [Scale("depth", words, colour_stops(DEPTH_COLOURS), *ends)]
    if any(np.isfinite(p.confidence_hw).any() for p in pictures):
        stops = colour_stops(CONFIDENCE_COLOURS)
        found.append(Scale("confidence", "from unsure to sure", stops, "0", "1"))
    if any(p.errors is not None for p in pictures):
        stops = colour_stops(ERROR_COLOURS)
        words = "relative depth error, both maps on one scale per card"
        found.append(Scale("error", words, stops, "none", "large"))
    return tuple(found)
