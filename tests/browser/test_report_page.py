"""The report as a person meets it: three widths, mouse, keyboard, dark mode, accessibility."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.opened_page import Open, Opened

pytestmark = pytest.mark.browser

WIDTHS_PX = (390, 820, 1440)


def cut(card: Locator) -> float:
    """Return how much of the left picture a card shows, in per cent, as the browser drew it."""
    clip = card.locator("img.left").evaluate("image => getComputedStyle(image).clipPath")
    hidden = re.fullmatch(r"inset\(0px ([\d.]+)% 0px 0px\)", clip)
    assert hidden, clip
    return 100 - float(hidden[1])


def ground(page: Page) -> int:
    """Return the brightness of the page's ground."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


def card(opened: Opened, name: str) -> Locator:
    return opened.page.locator(f'.card[data-name="{name}"]')


@pytest.mark.parametrize("width_px", WIDTHS_PX)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opens_without_complaint_request_or_sideways_scrolling(
    report: Path, open_page: Open, width_px: int, scheme: str
) -> None:
    opened = open_page(report, width_px, scheme)
    page = opened.page
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(".card")).to_have_count(4)
    page.locator("#provenance").scroll_into_view_if_needed()
    assert page.evaluate("document.documentElement.scrollWidth") == width_px
    assert opened.complaints == []
    assert opened.requests == [report.as_uri()]


@pytest.mark.parametrize("width_px", [390, 820, 1100, 1160, 1440])
def test_no_tile_stands_alone_in_its_row(report: Path, open_page: Open, width_px: int) -> None:
    tiles = open_page(report, width_px).page.locator(".tiles > div")
    tops = tiles.evaluate_all("all => all.map(tile => tile.getBoundingClientRect().top)")
    assert len(tops) == 6
    assert {tops.count(top) for top in tops} in ({2}, {3}, {6})


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_a_long_word_stays_within_its_tile(report: Path, open_page: Open, width_px: int) -> None:
    page = open_page(report, width_px).page
    page.locator(".tiles dd span").last.evaluate("note => note.textContent = 'x'.repeat(70)")
    sizes = page.locator(".tiles > div").evaluate_all(
        "all => all.map(tile => [tile.scrollWidth, tile.clientWidth])"
    )
    assert len(sizes) == 6
    assert all(needed <= given for needed, given in sizes)
    assert page.evaluate("document.documentElement.scrollWidth") == width_px


def test_dark_mode_is_dark(report: Path, open_page: Open) -> None:
    assert ground(open_page(report, scheme="dark").page) < 120
    assert ground(open_page(report, scheme="light").page) > 650


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_the_slider_is_dragged(report: Path, open_page: Open, width_px: int) -> None:
    opened = open_page(report, width_px)
    shown = card(opened, "coffee.png")
    shown.scroll_into_view_if_needed()
    box = shown.locator(".frame").bounding_box()
    assert box is not None
    assert cut(shown) == 50
    mouse, middle = opened.page.mouse, box["y"] + box["height"] / 2
    mouse.move(box["x"] + box["width"] * 0.5, middle)
    mouse.down()
    mouse.move(box["x"] + box["width"] * 0.8, middle, steps=5)
    mouse.up()
    assert cut(shown) == pytest.approx(80, abs=2)
    divider = shown.locator(".divider").bounding_box()
    assert divider is not None
    assert divider["x"] == pytest.approx(box["x"] + 0.8 * box["width"], abs=0.02 * box["width"])


def test_the_slider_obeys_the_keyboard_and_shows_its_focus(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    shown = card(opened, "chelsea.png")
    slider = shown.get_by_role("slider")
    opened.page.get_by_role("searchbox").focus()
    while not slider.evaluate("input => input === document.activeElement"):
        opened.page.keyboard.press("Tab")
    for _ in range(5):
        opened.page.keyboard.press("ArrowRight")
    assert cut(shown) == 55
    opened.page.keyboard.press("Home")
    assert cut(shown) == 0
    assert slider.get_attribute("aria-valuetext") == "0 % photograph, 100 % refined"
    assert shown.locator(".divider").evaluate("e => getComputedStyle(e).width") == "4px"


def test_layers_are_chosen_on_one_card_and_on_all(report: Path, open_page: Open) -> None:
    opened = open_page(report)
    first, other = card(opened, "astronaut.png"), card(opened, "coffee.png")
    first.get_by_label("Left layer of astronaut.png").select_option("coarse")
    expect(first.locator("img.left")).to_have_attribute("data-layer", "coarse")
    expect(first.locator("img:visible")).to_have_count(2)
    expect(other.locator("img.left")).to_have_attribute("data-layer", "photograph")
    opened.page.get_by_label("Right layer of all cards").select_option("confidence")
    for shown in (first, other):
        expect(shown.locator("img.right")).to_have_attribute("data-layer", "confidence")
    first.get_by_label("Left layer of astronaut.png").select_option("confidence")
    expect(first.locator("img:visible")).to_have_count(1)


def test_filters_hide_cards_and_clear_brings_them_back(report: Path, open_page: Open) -> None:
    page = open_page(report).page
    cards = page.locator(".card:visible")
    page.get_by_label("File name or caption").fill("COFF")
    expect(cards).to_have_count(1)
    expect(page.get_by_role("status")).to_have_text("1 of 4 labels shown")
    page.get_by_label("File name or caption").fill("")
    sure = page.locator(".card").evaluate_all("all => all.map(c => Number(c.dataset.confidence))")
    page.get_by_label("Confidence from").fill(str(sorted(sure)[1]))
    expect(cards).to_have_count(3)
    page.get_by_label("refined", exact=True).first.uncheck()
    expect(cards).to_have_count(0)
    expect(page.get_by_text("No label fits these filters.")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(cards).to_have_count(4)


def test_cards_are_put_in_order(report: Path, open_page: Open) -> None:
    page = open_page(report).page
    page.get_by_label("Order").select_option("drift")
    drifts = page.locator(".card").evaluate_all("all => all.map(c => Number(c.dataset.drift))")
    assert drifts == sorted(drifts, reverse=True)


COUNT_COLOURS = """canvas => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Uint32Array(data.buffer);
  return [new Set(pixels).size, pixels.filter(p => p !== 0).length / pixels.length];
}"""
DIGEST = "canvas => canvas.toDataURL()"


@pytest.mark.parametrize("width_px", WIDTHS_PX)
def test_the_point_cloud_is_drawn_turned_and_closed(
    report: Path, open_page: Open, width_px: int
) -> None:
    opened = open_page(report, width_px)
    page, button = opened.page, card(opened, "coffee.png").locator("button.cloud")
    button.click()
    dialog, canvas = page.get_by_role("dialog"), page.locator("dialog canvas")
    expect(dialog).to_contain_text("up to scale and shift only")
    page.wait_for_function(f"({COUNT_COLOURS})(document.querySelector('dialog canvas'))[0] > 100")
    _, covered = canvas.evaluate(COUNT_COLOURS)
    assert 0.1 < covered < 0.9
    before = canvas.evaluate(DIGEST)
    page.keyboard.press("ArrowLeft")
    turned = canvas.evaluate(DIGEST)
    assert turned != before
    page.get_by_label("Shape").select_option("coarse")
    page.wait_for_function(
        f"was => ({DIGEST})(document.querySelector('dialog canvas')) !== was", arg=turned
    )
    box = dialog.bounding_box()
    assert box is not None and box["width"] <= width_px
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()
    assert opened.complaints == []


def test_it_works_without_script(report: Path, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    expect(page.locator(".card img:visible")).to_have_count(8)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [390, 1440])
def test_axe_finds_nothing(report: Path, open_page: Open, width_px: int, scheme: str) -> None:
    opened = open_page(report, width_px, scheme)
    page = opened.page
    page.add_style_tag(content=".card { content-visibility: visible !important; }")
    assert opened.violations() == []
    page.locator("button.cloud").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert opened.violations() == []
