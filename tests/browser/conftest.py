"""A real output's page, and Debian's Chromium to open it with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Request, ViewportSize, sync_playwright

from redepth.config import load_recipe
from redepth.evaluation.comparing import compare_labels
from redepth.images.collection import list_images
from redepth.labelling.labeller import label_shard, load_labeller
from redepth.report.comparison_page import read_comparison, render_comparison
from redepth.report.page import render_page
from redepth.report.page_data import read_page
from redepth.store.dataset import begin
from redepth.store.manifest import read_shard_plans
from redepth.store.planning import plan_labels
from redepth.store.reader import open_labels
from redepth.store.shards import write_shard
from tests.browser.opened_page import Open, Opened

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
SETTINGS = (
    "labels.coarse.size_px=56",
    "labels.refiner.num_steps=2",
    "labels.refiner.num_members=2",
    "run.cost.price_per_actor_hour=2.5",
)
OTHER_SETTING = "labels.refiner.num_steps=5"
Scheme = Literal["dark", "light"]


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy photographs out of scikit-image's wheel; put a file beside them that is none."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in PHOTOGRAPHS:
        with resources.as_file(resources.files("skimage") / "data" / name) as source:
            shutil.copyfile(source, folder / name)
    (folder / "broken.jpg").write_bytes(b"no photograph")
    return folder


@pytest.fixture(scope="session")
def labels(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Label them with the mini recipe."""
    return _label(photographs, tmp_path_factory.mktemp("labels"), SETTINGS)


def _label(photographs: Path, folder: Path, settings: tuple[str, ...]) -> str:
    recipe, out = load_recipe("mini", settings), str(folder)
    labeller = load_labeller(recipe.labels)
    plan = plan_labels(list_images(str(photographs)), out, recipe)
    begin(out, recipe, labeller.cards)
    assert plan.manifest is not None
    for shard in read_shard_plans(plan.manifest, 0, plan.num_shards):
        write_shard(out, shard, label_shard(labeller, shard.images), recipe.labels.storage)
    return out


@pytest.fixture(scope="session")
def report(labels: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of that output."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    cost = load_recipe("mini", SETTINGS).run.cost
    path.write_text(render_page(read_page(labels, cost, datetime.now(UTC))), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def comparison(labels: str, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Label the photographs with other settings; write the page of both."""
    other = _label(photographs, tmp_path_factory.mktemp("other"), (*SETTINGS, OTHER_SETTING))
    sets = open_labels(labels), open_labels(other)
    page = read_comparison(compare_labels(*sets), *sets, datetime.now(UTC))
    path = tmp_path_factory.mktemp("page") / "comparison.html"
    path.write_text(render_comparison(page), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the path: apt-get install chromium")
    with sync_playwright() as playwright:
        # A container's root has no sandbox; the pages are our own.
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


def _note_request(opened: Opened, request: Request) -> None:
    if not request.url.startswith("data:"):
        opened.requests.append(request.url)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Return what opens a file at a size and with a colour scheme."""
    contexts = []

    def open_file(path: Path, width_px: int = 1440, scheme: Scheme = "light") -> Opened:
        size = ViewportSize(width=width_px, height=900)
        context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        opened = Opened(context.new_page())
        context.on("request", lambda request: _note_request(opened, request))
        opened.page.on("console", lambda message: opened.complaints.append(message.text))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.goto(path.as_uri())
        return opened

    yield open_file
    for context in contexts:
        context.close()
