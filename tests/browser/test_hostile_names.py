"""Names, captions and ids that attack: on every output, with the pages in a real browser.

The outputs are made by the real pipeline from a list whose rows are written by an attacker: known
payloads, and mixtures of their fragments drawn from a seed.
"""

from __future__ import annotations

import json
import random
import re
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from flows import terminal
from redepth.config import Recipe, load_recipe
from redepth.evaluation.comparing import compare_labels, comparison_markdown
from redepth.exports.request import ExportRequest
from redepth.exports.writing import export_labels
from redepth.images.collection import list_images
from redepth.labelling.labeller import label_shard, load_labeller
from redepth.report.comparison_page import read_comparison, render_comparison
from redepth.report.gallery import fetch_picture
from redepth.report.page import render_page
from redepth.report.page_data import read_page
from redepth.report.pictures import draw_contact_sheet, draw_label
from redepth.store.dataset import begin
from redepth.store.manifest import read_shard_plans
from redepth.store.planning import Plan, plan_labels
from redepth.store.reader import Labels, open_labels, summarise
from redepth.store.shards import write_shard
from redepth.types import Outcome
from tasks.console import RunConsole
from tasks.progress import RunProgress
from tasks.publish_report import _named
from tasks.run_page import LABELLING, RunPlace, page_markdown
from tests.browser.opened_page import Open
from tests.exports.export_samples import NEEDING_NOTHING

pytestmark = [
    pytest.mark.security,
    pytest.mark.timeout(600),
    # A font lacks letters of some names; a picture with boxes in their place is right.
    pytest.mark.filterwarnings("ignore:Glyph"),
]

EVIL = "http://127.0.0.1:9"
FRAGMENTS = (
    "<script>window.pwned=1</script>", f"<img src={EVIL}/a onerror=pwned=1>", "</script>",
    "</style>", "<svg onload=pwned=1>", f"<link rel=stylesheet href={EVIL}/b>",
    "\"'><b onmouseover=pwned=1>", f"![]({EVIL}/c)", f"[x]({EVIL}/d)", "javascript:pwned=1",
    f"url({EVIL}/e)", "{{7*7}}", "{%", "`", "``", "|", "\\", "$", "$\\frac{", "_x_", "# head",
    "[bold red]", "[/]", ":skull:", "%s%n", "../", "..", "/", "\0", "\x1b[2J", "\x1b]0;title\x07",
    "\x9b31m", "\r", "\n", "\u2028", "\u202e", "\u2066", "\ud800", "\ufffe", "&#x3c;", "-->", "]]>",
    "東京", "x" * 300,
)  # fmt: skip
KNOWN = (
    "<script>window.pwned=1</script>", f"x\"><img src={EVIL}/a onerror=pwned=1>", "shoe_$20_-_$35",
    f"`a` | ![]({EVIL}/c) \\| **b**", "../../../../tmp/pwned",
    "\x1b[2J\x1b]0;t\x07\u202egpj.exe\ud800", "ok\r\nerror: forged\n# head", "[bold red]x[/]", ".",
    "--help",
)  # fmt: skip
NUM_DRAWN = 14
SETTINGS = (
    "labels.coarse.size_px=56", "labels.refiner.num_steps=2", "labels.refiner.num_members=2",
)  # fmt: skip
ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def payloads() -> list[str]:
    """Return texts that attack: those that are known, and mixtures."""
    draw = random.Random(0)
    mixed = ["".join(draw.choices(FRAGMENTS, k=draw.randint(2, 5))) for _ in range(NUM_DRAWN)]
    return [*KNOWN, *mixed]


def file_name(text: str) -> str:
    """Return as much of a payload as a local file may be called."""
    kept = text.replace("/", "").replace("\0", "").encode(errors="ignore")[:180]
    return kept.decode(errors="ignore")


@pytest.fixture(scope="module")
def hostile_list(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write photographs and a list that are an attacker's; every fourth is no photograph."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = []
    for number, text in enumerate(payloads()):
        name = f"p{file_name(text)} {number}.png"  # a list's cells are stripped
        pixels = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 48)).save(folder / name)
        if number % 4 == 3:
            (folder / name).write_bytes(b"no photograph")
        rows.append({"uri": name, "id": f"{text}{number}", "caption": text})
    rows.append({"uri": "/" + "<b>\x1b[2J\n" * 3 + "gone.png"})
    path = folder / "list.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def recipe_named(name: str, *settings: str) -> Recipe:
    return load_recipe("mini", (*SETTINGS, *settings)).model_copy(update={"name": name})


def labelled(source: str, out: Path, recipe: Recipe) -> Labels:
    labeller = load_labeller(recipe.labels)
    plan = plan_labels(list_images(source), str(out), recipe)
    begin(str(out), recipe, labeller.cards)
    assert plan.manifest is not None
    for shard in read_shard_plans(plan.manifest, 0, plan.num_shards):
        write_shard(str(out), shard, label_shard(labeller, shard.images), recipe.labels.storage)
    return open_labels(str(out))


RECIPE = recipe_named(KNOWN[3] + KNOWN[0])


@pytest.fixture(scope="module")
def hostile(hostile_list: str, tmp_path_factory: pytest.TempPathFactory) -> Labels:
    return labelled(hostile_list, tmp_path_factory.mktemp("labels"), RECIPE)


@pytest.fixture(scope="module")
def other(hostile_list: str, tmp_path_factory: pytest.TempPathFactory) -> Labels:
    recipe = recipe_named(KNOWN[1], "labels.refiner.num_steps=3")
    return labelled(hostile_list, tmp_path_factory.mktemp("other"), recipe)


@pytest.fixture
def pages(hostile: Labels, other: Labels, tmp_path: Path) -> dict[str, Path]:
    """Write the report, the comparison, and the artifacts as a browser would get them."""
    now = datetime.now(UTC)
    report = render_page(read_page(hostile.url, RECIPE.run.cost, now))
    compared = compare_labels(hostile, other)
    contents = {
        "report": report,
        "comparison": render_comparison(read_comparison(compared, hostile, other, now)),
        "artifacts": as_html([*artifacts(hostile), comparison_markdown(compared)]),
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.html").write_text(content, encoding="utf-8")
    return {name: tmp_path / f"{name}.html" for name in contents}


def artifacts(labels: Labels) -> Iterator[str]:
    """Yield the Markdown that Prefect would show."""
    rows = labels.rows(range(len(labels)))
    progress = RunProgress(len(labels))
    for row in rows:
        progress.count(row)
    names = tuple(row.uri for row in rows)
    plan = Plan("m", 1, 0, 1, 1, 0, dict.fromkeys(Outcome, 0), 0, len(names), names)
    place = RunPlace(names[0], names[1], KNOWN[3], f"http://host/)![]({EVIL}/f)")
    yield page_markdown(place, RECIPE, plan, progress.figures(), LABELLING)
    photographs = labels.photographs()
    with_label = [row.id for row in rows if row.outcome.has_label]
    yield _named([fetch_picture(labels[image_id], photographs) for image_id in with_label])


def as_html(texts: list[str]) -> str:
    """Render Markdown with HTML let through, and nothing to stop a request or a script."""
    renderer = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    return "<!doctype html><meta charset=utf-8>" + "<hr>".join(map(renderer.render, texts))


@pytest.mark.parametrize("name", ["report", "comparison", "artifacts"])
def test_a_page_runs_no_script_and_asks_for_nothing(
    name: str, pages: dict[str, Path], open_page: Open
) -> None:
    opened = open_page(pages[name])
    page = opened.page
    page.mouse.wheel(0, 5000)
    for card in page.locator(".card").all()[:3]:
        card.hover()
    page.wait_for_timeout(300)
    assert page.evaluate("typeof window.pwned") == "undefined"
    assert opened.requests == [pages[name].as_uri()]
    assert opened.complaints == [], "not even something for the policy to stop"
    assert page.locator("img:not([src^='data:']), iframe, object, embed, base").count() == 0
    assert page.locator("script").count() == (0 if name == "artifacts" else 1)
    assert not ORDERS.search(pages[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["report", "comparison"])
def test_the_policy_stops_what_would_come_through(
    name: str, pages: dict[str, Path], open_page: Open
) -> None:
    html = pages[name].read_text(encoding="utf-8")
    attack = (
        f"<script>window.pwned=1</script><img src='{EVIL}/g' onerror='pwned=1'>"
        f"<iframe src='{EVIL}/h'></iframe><base href='{EVIL}/'><form action='{EVIL}/i'></form>"
        f"<link rel=stylesheet href='{EVIL}/j'><b style='background: url({EVIL}/k)'>x</b>"
    )
    pages[name].write_text(html.replace("<main", f"{attack}<main", 1), encoding="utf-8")
    opened = open_page(pages[name])
    opened.page.wait_for_timeout(300)
    opened.page.evaluate("document.forms[0].action.length && 0")
    assert opened.page.evaluate("typeof window.pwned") == "undefined"
    assert opened.complaints, "the browser tells what it stopped"
    stopped: list[Any] = [text for text in opened.complaints if "Content Security Policy" in text]
    assert len(stopped) >= 5


def test_every_image_has_an_outcome(hostile: Labels) -> None:
    assert len(hostile) == len(payloads()) + 1
    outcomes = hostile.count_outcomes()
    assert outcomes[Outcome.REJECTED] == len(payloads()) // 4 + 1
    assert not outcomes[Outcome.FAILED]


def test_every_label_is_drawn(hostile: Labels) -> None:
    photographs = hostile.photographs()
    rows = [row for row in hostile.rows(range(len(hostile))) if row.outcome.has_label]
    pictures = [fetch_picture(hostile[row.id], photographs) for row in rows]
    assert all(draw_label(picture).startswith(b"\x89PNG") for picture in pictures)
    assert draw_contact_sheet(pictures, RECIPE.name).startswith(b"\x89PNG")


@pytest.mark.parametrize("form", NEEDING_NOTHING)
def test_an_export_stays_in_its_folder(form: str, hostile: Labels, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "export"
    export_labels(hostile, str(out), ExportRequest(form, with_images=True))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.is_relative_to(out) for path in written)
    names = [path.relative_to(out).as_posix() for path in written]
    for path in written:
        if path.suffix == ".tar":
            with tarfile.open(path) as tar:
                names += tar.getnames()
    assert all(re.fullmatch(r"[\w%~./-]+", name) and ".." not in name for name in names)
    assert not Path("/tmp/pwned").exists()


def test_a_terminal_gets_letters(hostile: Labels, monkeypatch: pytest.MonkeyPatch) -> None:
    file = StringIO()
    console = RunConsole(file=file, highlight=False, soft_wrap=True, emoji=False, width=10_000)
    monkeypatch.setattr(terminal, "out", console)
    rows = hostile.rows(range(len(hostile)))
    terminal.print_status(hostile.url, summarise(hostile.url), hostile.troubles(100))
    for row in rows:
        terminal.print_row(row, Path("label.png"))
    assert not ORDERS.search(file.getvalue())
    assert not re.search("^(error: forged|# head)", file.getvalue(), re.MULTILINE)
