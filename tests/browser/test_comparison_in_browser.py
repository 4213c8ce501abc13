"""The page of two label sets in a browser: the parts that differ from the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.opened_page import Open

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width_px", [390, 820, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opens_without_complaint_request_or_sideways_scrolling(
    comparison: Path, open_page: Open, width_px: int, scheme: str
) -> None:
    opened = open_page(comparison, width_px, scheme)
    opened.page.add_style_tag(content=".card { content-visibility: visible !important; }")
    expect(opened.page.locator(".card")).to_have_count(4)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width_px
    assert opened.violations() == []
    assert opened.complaints == []
    assert opened.requests == [comparison.as_uri()]


def test_two_labels_are_compared_filtered_and_ordered(comparison: Path, open_page: Open) -> None:
    page = open_page(comparison).page
    card = page.locator('.card[data-name="coffee.png"]')
    slider = card.get_by_role("slider")
    slider.press("ArrowLeft")
    words = "49 % first label, 51 % second label"
    expect(slider).to_have_attribute("aria-valuetext", words)
    page.get_by_label("Right layer of all cards").select_option("difference")
    expect(card.locator("img.right")).to_have_attribute("data-layer", "difference")
    page.get_by_label("Order").select_option("drift")
    apart = page.locator(".card").evaluate_all("all => all.map(c => Number(c.dataset.drift))")
    assert apart == sorted(apart, reverse=True)
    page.get_by_label("File name or caption").fill("coffee")
    expect(page.locator(".card:visible")).to_have_count(1)


def test_the_cloud_has_both_shapes(comparison: Path, open_page: Open) -> None:
    opened = open_page(comparison)
    opened.page.locator("button.cloud").first.click()
    shapes = opened.page.get_by_label("Shape").locator("option")
    expect(shapes).to_have_text(["first label", "second label"])
    assert opened.complaints == []
