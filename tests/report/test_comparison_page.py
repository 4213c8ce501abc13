"""The page of two label sets: which images are on it, and that both are on one scale."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from redepth.evaluation.comparing import ImageComparison, compare_labels
from redepth.report.cards import ComparedGroup
from redepth.report.comparison_page import (
    NUM_APART,
    NUM_OUTCOMES,
    NUM_SPREAD,
    ComparisonPage,
    choose_images,
    read_comparison,
    render_comparison,
)
from redepth.store.reader import open_labels
from redepth.types import DepthKind, Outcome
from tests.report import report_samples

MADE = datetime(2026, 1, 2, tzinfo=UTC)
ALIKE = ImageComparison(
    id="x", uri="x.png", outcomes=(Outcome.REFINED, Outcome.REFINED), correlation=1.0,
    difference=0.1, confidence=(0.5, 0.5), drift=(0.1, 0.1),
)  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> ComparisonPage:
    folder = tmp_path_factory.mktemp("compared")
    first = open_labels(report_samples.write_output(folder))
    second = open_labels(report_samples.label_again(folder, DepthKind.AFFINE_DISPARITY))
    return read_comparison(compare_labels(first, second), first, second, MADE)


def test_a_label_differs_from_itself_by_nothing(page: ComparisonPage) -> None:
    assert page.headline[0].value == "7"
    assert page.headline[1].value == "0.0%"
    assert {card.right for card in page.gallery.cards} == {"second label"}
    for card in page.gallery.cards:
        pictures = {layer.name: layer.uri for layer in card.layers}
        assert pictures["first label"] == pictures["second label"], "aligned to one scale"
        assert [shape.name for shape in card.reliefs] == ["first label", "second label"]


def test_a_photograph_that_was_overwritten_is_not_shown_beside_the_labels(tmp_path: Path) -> None:
    first = open_labels(report_samples.write_output(tmp_path, 3))
    second = open_labels(report_samples.label_again(tmp_path, DepthKind.AFFINE_DISPARITY))
    Image.new("RGB", (120, 80), "red").save(tmp_path / "photographs" / "02.png")
    page = read_comparison(compare_labels(first, second), first, second, MADE)
    assert page.gallery.unread == "Photographs not shown: 1 changed since it was labelled."
    shown = {card.name: [layer.name for layer in card.layers] for card in page.gallery.cards}
    assert "photograph" not in shown["02.png"] and "photograph" in shown["01.png"]


def test_images_without_a_label_are_in_the_table_alone(page: ComparisonPage) -> None:
    assert len(page.images) == 7
    assert len(page.gallery.cards) == 6
    assert page.images[-1][2:5] == ("-", "-", "both rejected")


def test_names_cannot_break_out_and_nothing_is_asked_for(page: ComparisonPage) -> None:
    html = render_comparison(page)
    assert "<b>bold" not in html
    assert html.count("<script") == 1
    assert "http://" not in html.replace("http://www.w3.org/", "")
    assert 'name="outcome"' not in html, "a card is of two labels"


def test_what_differs_most_is_chosen_and_the_number_is_bounded() -> None:
    images = [replace(ALIKE, id=f"{n:03}", difference=1 - n / 1000) for n in range(500)]
    images[100:110] = [
        replace(image, outcomes=(Outcome.REFINED, Outcome.FELL_BACK)) for image in images[100:110]
    ]
    images.append(
        replace(ALIKE, id="none", difference=math.nan, outcomes=(Outcome.REFINED, Outcome.FAILED))
    )
    chosen = choose_images(images)
    by_group = {g: [i for i, found in chosen.items() if found is g] for g in ComparedGroup}
    assert by_group[ComparedGroup.APART] == [f"{n:03}" for n in range(NUM_APART)]
    assert by_group[ComparedGroup.OUTCOMES] == [f"{n}" for n in range(100, 100 + NUM_OUTCOMES)]
    assert len(by_group[ComparedGroup.SPREAD]) == NUM_SPREAD
    assert by_group[ComparedGroup.SPREAD][-1] == "499"


def test_two_kinds_are_compared_as_disparities(tmp_path: Path) -> None:
    first = open_labels(report_samples.write_output(tmp_path, 2))
    second = open_labels(report_samples.label_again(tmp_path, DepthKind.METRIC_DEPTH))
    page = read_comparison(compare_labels(first, second), first, second, MADE)
    assert page.gallery.kind_words.startswith("disparity")
