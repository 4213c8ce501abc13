"""The report's page: what it says, that it asks for nothing, and that names cannot break out."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from redepth.config import Cost
from redepth.costing.run_speed import RunSpeed
from redepth.costing.stages import StageSeconds
from redepth.quantities import confidence_words
from redepth.redaction import shown
from redepth.refiners.triage import RoutingFacts, Teacher, fit_triage, routing_facts
from redepth.report import figures
from redepth.report.figures import Group
from redepth.report.layers import layers_of, reliefs_of
from redepth.report.page import PageData, Trouble, render_page
from redepth.report.page_data import RunFacts, _usual_prompt, read_page, title_of
from redepth.report.pictures import LabelPicture
from redepth.store.dataset import begin, read_dataset
from redepth.store.objects import open_objects
from redepth.store.planning import plan_labels
from redepth.store.reader import open_labels
from redepth.store.rows import decode_fragment, encode_fragment
from redepth.store.run_record import put_speed
from redepth.store.shards import write_shard
from redepth.types import DepthKind, LabelRow, ModelCard, Outcome
from tests.report import report_samples
from tests.store.store_samples import CARD, images, label_or_keep, recipe, shard_plans, touched

MADE = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
PRICED = Cost.model_validate({"price_per_actor_hour": 3.6, "currency": "EUR"})


class Elements(HTMLParser):
    """Every start tag with its attributes, and the ids that are used twice."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> str:
    return report_samples.write_output(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(out: str) -> PageData:
    return read_page(out, PRICED, MADE)


@pytest.fixture(scope="module")
def html(page: PageData) -> str:
    return render_page(page)


def fact(page: PageData, name: str) -> tuple[str, str]:
    (found,) = (f for f in page.headline if f.name == name)
    return found.value, found.note


def test_the_headline_counts_and_reckons(page: PageData) -> None:
    assert page.outcomes == {
        Outcome.REFINED: 5, Outcome.FELL_BACK: 1, Outcome.REJECTED: 1, Outcome.FAILED: 0
    }  # fmt: skip
    assert fact(page, "Seconds a label") == ("2", "mean, one actor, cpu")
    assert fact(page, "Images an hour")[0] == "1,800"
    assert fact(page, "Cost") == ("0.01 EUR", "0.0033 actor hours; 2.00 per 1000 labels")


def test_a_page_of_coarse_maps_says_that_nothing_was_refined(
    page: PageData, tmp_path: Path
) -> None:
    unchanged = read_page(report_samples.write_output(tmp_path, drift=0.0), PRICED, MADE)
    words = "Nothing was refined: every label is its coarse map."
    assert words in unchanged.warnings
    assert words not in page.warnings


def test_the_page_shows_how_many_labels_each_method_made(page: PageData) -> None:
    assert page.methods == {}
    assert "Refined by" not in render_page(page)
    html = render_page(replace(page, methods={"quick": 1940, "thorough <b>": 60}))
    assert "Refined by" in html
    assert re.search(r"quick <strong>1,940</strong> <span[^>]*>97.0%", html)
    assert re.search(r"thorough &lt;b&gt; <strong>60</strong> <span[^>]*>3.0%", html)


def triage_card() -> ModelCard:
    """Return the card of a triage fitted to 100 images of which the changes are as predicted."""
    gains = [number / 100 for number in range(1, 101)]
    triage = fit_triage(gains, gains, Teacher(recipe="thorough", digest="0" * 64))
    facts = RoutingFacts(
        expensive="thorough", budget=0.2, threshold=triage.threshold(0.2), triage=triage
    )
    dumped = facts.model_dump(mode="json")
    return ModelCard("triage", "student", "folder", None, "c" * 64, "MIT", facts=dumped)


def test_the_page_shows_the_curve_of_a_cascade_with_its_own_share(tmp_path: Path) -> None:
    out = report_samples.write_output(
        tmp_path, 10, cards=(triage_card(),), methods=("quick", "quick", "quick", "thorough")
    )
    page = read_page(out, PRICED, MADE)
    assert page.methods == {"quick": 8, "thorough": 2}
    (chart,) = (chart for chart in page.charts if chart.title == "Expected gain")
    assert (
        "2 of 10 labels (20.0%) were made by thorough, the dot; the budget was 20%" in chart.words
    )
    gain = routing_facts([triage_card()])
    assert gain is not None
    assert f"had {gain.triage.expected_gain(0.2):.1%} of what thorough changed" in chart.words
    html = render_page(page)
    assert "share of images for the expensive method (%)" in html
    assert len(set(re.findall(r'\bid="([^"]+)"', html))) == len(re.findall(r'\bid="([^"]+)"', html))


@pytest.mark.parametrize(
    ("refiner", "prompt"),
    [
        ({"caption": {"prompt": "a photograph"}}, "a photograph"),
        ({"cheap": {"seed": 1}, "expensive": {"caption": {"prompt": "a face"}}}, "a face"),
        ({"method": "identity"}, None),
    ],
)
def test_the_usual_prompt_is_that_of_the_recipe_or_of_a_cascades_method(
    out: str, refiner: dict[str, object], prompt: str | None
) -> None:
    dataset = replace(read_dataset(out), recipe={"refiner": refiner})
    assert _usual_prompt(dataset) == prompt


def test_a_triage_that_no_redepth_wrote_has_no_curve() -> None:
    card = replace(triage_card(), facts={"triage": "<script>"})
    assert routing_facts([card]) is None
    assert routing_facts([]) is None


def test_without_a_price_the_actor_hours_are_told(out: str) -> None:
    unpriced = read_page(out, Cost.model_validate({}), MADE)
    assert fact(unpriced, "Actor hours")[0] == "0.0033"


def test_a_run_tells_what_it_came_to(out: str) -> None:
    after = read_page(out, PRICED, MADE, RunFacts(7, 60.0))
    value, note = fact(after, "Images an hour")
    assert value == "420"
    assert "7 in 1.0 minutes" in note


def test_the_last_runs_record_says_where_the_time_went(tmp_path: Path) -> None:
    out = report_samples.write_output(tmp_path)
    assert not read_page(out, PRICED, MADE).speed, "no run has left a record"
    stages = StageSeconds(40, 80.0, 60.0, 2.0, 10.0)
    put_speed(open_objects(out), "manifest/00000001-x.parquet", RunSpeed(1, 4, 20.0, stages, "cpu"))
    page = read_page(out, PRICED, MADE)
    said = {fact.name: fact.value for fact in page.speed}
    assert said["Models busy"].startswith("50% of the time of 1 actor")
    assert said["An image"].startswith("0.25 s in the models, 1.5 s to read and decode")
    html = render_page(page)
    assert "Where the time of the last run went" in html
    assert "give actors more cores (run.actors.num_cpus)" in html


def test_labels_that_the_last_run_kept_are_said(tmp_path: Path) -> None:
    begin(str(tmp_path), recipe(), [CARD])
    refs = images(4)
    for of_run in (refs, touched(refs)):
        for shard in shard_plans(plan_labels(of_run, str(tmp_path), recipe())):
            new = label_or_keep(str(tmp_path), shard, {refs[0].id: of_run[0].version or ""})
            write_shard(str(tmp_path), shard, new, recipe().labels.storage)
    kept = fact(read_page(str(tmp_path), PRICED, MADE), "Labels kept")
    assert kept == ("3", "in the last run: the photographs were touched but have the same bytes")


def test_every_label_of_a_small_output_is_shown_with_its_reasons(page: PageData) -> None:
    assert len(page.gallery.cards) == 6
    groups = {card.name: card.groups for card in page.gallery.cards}
    assert groups["01.png"] == (Group.FELL_BACK,)
    assert groups["05.png"] == (Group.CHANGED, Group.UNSURE)
    assert all(Group.RANDOM not in found for found in groups.values()), "nothing was drawn"


def test_the_gallery_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_NUMBERS", {Group.RANDOM: 2, Group.TROUBLE: 1})
    monkeypatch.setattr(figures, "NUM_EACH", 1)
    few = read_page(report_samples.write_output(tmp_path, 12), PRICED, MADE)
    assert 2 <= len(few.gallery.cards) <= 6
    assert all(card.groups for card in few.gallery.cards)
    assert few.gallery.num_labels == 12


def test_a_label_without_confidence_has_no_such_layer(page: PageData) -> None:
    layers = {card.name: [layer.name for layer in card.layers] for card in page.gallery.cards}
    assert layers["01.png"] == ["photograph", "coarse", "refined"]
    assert layers["02.png"] == ["photograph", "coarse", "refined", "confidence"]


def test_a_photograph_that_is_gone_is_left_out(tmp_path: Path) -> None:
    out = report_samples.write_output(tmp_path, 3)
    (tmp_path / "photographs" / "02.png").unlink()
    page = read_page(out, PRICED, MADE)
    layers = {card.name: card.left for card in page.gallery.cards}
    assert layers["02.png"] == "coarse"
    assert page.gallery.unread == "Photographs not shown: 1 not there any more."


def test_a_photograph_that_was_overwritten_is_not_shown_beside_the_old_label(
    tmp_path: Path,
) -> None:
    out = report_samples.write_output(tmp_path, 4)
    for name in ("02.png", "03.png"):
        Image.new("RGB", (120, 80), "red").save(tmp_path / "photographs" / name)
    page = read_page(out, PRICED, MADE)
    layers = {card.name: [layer.name for layer in card.layers] for card in page.gallery.cards}
    assert "photograph" in layers["01.png"]
    assert "photograph" not in layers["02.png"] + layers["03.png"]
    assert "Photographs not shown: 2 changed since it was labelled." in render_page(page)


def test_a_page_of_somebody_elses_labels_makes_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = report_samples.write_output(tmp_path, 2)
    for part in (tmp_path / "labels" / "labels").glob("*.parquet"):
        rows = decode_fragment(part.stem, part.read_bytes())
        moved = [replace(row, uri="http://169.254.169.254/a.png") for row in rows.rows()]
        part.write_bytes(encode_fragment(moved, rows.array_groups))
    monkeypatch.setattr("redepth.images.decode.open_source", lambda *_: pytest.fail("asked"))
    page = read_page(out, PRICED, MADE)
    assert page.gallery.unread is not None and "--allow" in page.gallery.unread
    allowed = open_labels(out).photographs(["http://169.254.169.254"])
    with pytest.raises(pytest.fail.Exception, match="asked"):
        read_page(out, PRICED, MADE, photographs=allowed)


def test_licences_and_untrained_models_are_warned_of(page: PageData) -> None:
    said = " ".join(page.warnings)
    assert "UNTRAINED" in said
    assert "big is under CC-BY-NC-4.0" in said


@pytest.mark.parametrize(
    ("kind", "quantity"),
    [
        (DepthKind.AFFINE_DISPARITY, "refined disparity (no unit; 0 far, 1 near)"),
        (DepthKind.AFFINE_DEPTH, "refined depth (no unit; 0 near, 1 far)"),
        (DepthKind.METRIC_DEPTH, "refined depth (m)"),
    ],
)
def test_kind_and_unit_are_said(tmp_path: Path, kind: DepthKind, quantity: str) -> None:
    page = read_page(report_samples.write_output(tmp_path, 2, kind), PRICED, MADE)
    assert quantity in page.charts[-1].svg
    up_to_scale = "up to scale and shift only" in render_page(page)
    assert up_to_scale == (kind is not DepthKind.METRIC_DEPTH)


def test_names_captions_and_reasons_cannot_break_out(html: str) -> None:
    assert report_samples.SCRIPT not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    elements = Elements(html)
    assert len(elements.of("script")) == 1
    assert elements.of("b") == []
    names = {card["data-name"] for card in elements.of("li") if "data-name" in card}
    assert '<b>bold & "quoted".png' in names


def test_the_one_script_is_the_only_one_that_may_run(html: str) -> None:
    script = re.search(r"<script>(.*)</script>", html, flags=re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert "default-src 'none'" in html
    assert not re.search(r"<[^>]+ on\w+=", html)


def test_the_page_asks_for_nothing(html: str) -> None:
    for _, attributes in Elements(html).found:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            assert attributes.get(name, "#").startswith(("data:", "#"))
    assert not [u for u in re.findall(r"url\(([^)]*)\)", html) if not u.startswith(("#", "data:"))]
    assert "@import" not in html


def test_pictures_have_words_and_ids_are_unique(html: str) -> None:
    elements = Elements(html)
    assert all(image["alt"] for image in elements.of("img"))
    assert all(svg["aria-label"] for svg in elements.of("svg"))
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_full_page_of_large_maps_is_a_few_megabytes() -> None:
    arrays = report_samples.maps(3, (518, 518))
    photograph = (arrays["coarse"][..., None] * [20, 30, 40]).astype("uint8")
    row = LabelRow(id="x", uri="x.png", outcome=Outcome.REFINED, kind=DepthKind.AFFINE_DISPARITY)
    picture = LabelPicture(
        row, photograph, arrays["coarse"], arrays["refined"], arrays["confidence"]
    )
    uris = [layer.uri for layer in layers_of(picture)]
    uris += [relief.uri for relief in reliefs_of(picture)]
    size = sum(map(len, uris))
    most = 4 * figures.NUM_EACH + figures.NUM_RANDOM
    assert most * size < 6_000_000, "noise in every pixel; real maps take a third"


def test_secrets_of_a_url_are_left_out() -> None:
    url = "sftp://me:secret@host/folder/labels?token=x"
    assert shown(url) == "sftp://***@host/folder/labels?***"
    assert title_of(url) == "folder/labels"


def test_an_output_without_a_label_has_a_page(tmp_path: Path) -> None:
    html = render_page(read_page(report_samples.write_output(tmp_path, 0), PRICED, MADE))
    assert "No image has a label yet." in html
    assert "truncated" in html


def test_what_a_confidence_means_is_said() -> None:
    assert "not a probability" in confidence_words(None)
    assert "within a factor of 1.05" in confidence_words(1.05)


def test_what_is_shown_is_letters_alone(page: PageData) -> None:
    orders = "x\x1b[2J\0\u202egpj.\ud800"
    card = replace(page.gallery.cards[0], name=orders, id=orders, caption=orders, reason=orders)
    hostile = replace(
        page,
        title=orders,
        recipe_name=orders,
        gallery=replace(page.gallery, cards=(card,)),
        troubles=(Trouble(orders, orders, Outcome.FAILED, orders),),
        settings={orders: orders},
    )
    html = render_page(hostile)
    html.encode()
    assert not set(html) & set("\x1b\0\u202e\ud800")
    assert html.count("x\ufffd[2J\ufffd\ufffdgpj.\ufffd") >= 9
