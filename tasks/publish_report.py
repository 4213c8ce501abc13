"""Task: say what a run did, in the output and in Prefect."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pyarrow.dataset as pads
from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from redepth.config import Recipe
from redepth.report.gallery import fetch_picture, spread_evenly
from redepth.report.page import render_page
from redepth.report.page_data import RunFacts, read_page
from redepth.report.pictures import UNTRAINED_WARNING, draw_contact_sheet
from redepth.store import layout
from redepth.store.catalogue import committed_images, count_outcomes
from redepth.store.manifest import planned_at
from redepth.store.objects import open_objects
from redepth.store.planning import Plan
from redepth.store.reader import Labels, open_labels
from redepth.types import Outcome
from tasks.retrying import worth_retrying

NUM_PICTURES = 6


@dataclass(frozen=True, slots=True)
class RunReport:
    """How an output stands after a run.

    Attributes:
        outcomes: images by outcome, over the whole output.
        new: the images that this run gave an outcome, by outcome.
        contact_sheet: URL of the PNG, None where there is no label to draw.
        page: URL of the report, None where the run had nothing to do.
    """

    outcomes: Mapping[Outcome, int]
    new: Mapping[Outcome, int]
    contact_sheet: str | None = None
    page: str | None = None


@task(
    task_run_name="report",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_condition_fn=worth_retrying,
)
def publish_report(out: str, recipe: Recipe, plan: Plan, new: Mapping[Outcome, int]) -> RunReport:
    """Count outcomes, write the report's page and a contact sheet, and publish what they say."""
    outcomes = count_outcomes(out)
    _publish_outcomes(outcomes)
    if plan.manifest is None:
        return RunReport(outcomes, new)
    committed_images(open_objects(out), keep_index=True)  # for the next plan
    html = _write_page(out, recipe, plan.manifest, new)
    page = store_report(out, plan.manifest, "index.html", html)
    sheet = _draw_sheet(open_labels(out), recipe)
    if sheet is None:
        return RunReport(outcomes, new, None, page)
    _publish_sheet(sheet, recipe, page)
    contact_sheet = store_report(out, plan.manifest, "contact-sheet.png", sheet)
    return RunReport(outcomes, new, contact_sheet, page)


def _publish_outcomes(outcomes: Mapping[Outcome, int]) -> None:
    table = [{"outcome": outcome.words, "images": number} for outcome, number in outcomes.items()]
    create_table_artifact(table, key="outcomes", description="Images by outcome, whole output")


def _write_page(out: str, recipe: Recipe, manifest: str, new: Mapping[Outcome, int]) -> bytes:
    """Make the page; a run lasts from its plan to here."""
    now = datetime.now(UTC)
    run = RunFacts(sum(new.values()), (now - planned_at(manifest)).total_seconds())
    return render_page(read_page(out, recipe.run.cost, now, run)).encode()


def _draw_sheet(labels: Labels, recipe: Recipe) -> bytes | None:
    """Draw labels at even distances through the output; None where no image has one."""
    with_label = [outcome.value for outcome in Outcome if outcome.has_label]
    ids = labels.table(["id"], pads.field("outcome").isin(with_label))["id"].to_pylist()
    chosen = [labels[image_id] for image_id in spread_evenly(sorted(ids), NUM_PICTURES)]
    if not chosen:
        return None
    pictures = [fetch_picture(label, recipe.labels.decoding) for label in chosen]
    return draw_contact_sheet(pictures, f"{recipe.name}: {len(chosen)} of {len(ids)} labels")


def store_report(out: str, manifest: str, name: str, content: bytes) -> str:
    """Put a file below reports/, under the name of the run's manifest; return its URL."""
    objects = open_objects(out)
    path = f"{layout.REPORTS}/{PurePosixPath(manifest).stem}/{name}"
    with tempfile.TemporaryDirectory(prefix="redepth-report-") as folder:
        # From a file: by its name s3fs tells the bucket what it is, and a browser shows the page
        # instead of saving it.
        source = Path(folder) / name
        source.write_bytes(content)
        objects.put_file(path, source)
    return objects.full_url(path)


def _publish_sheet(sheet: bytes, recipe: Recipe, page: str) -> None:
    warning = f"**{UNTRAINED_WARNING}**\n\n" if recipe.is_untrained else ""
    picture = base64.b64encode(sheet).decode()
    create_markdown_artifact(
        f"{warning}The report: `{page}`\n\n![contact sheet](data:image/png;base64,{picture})",
        key="contact-sheet",
        description="Photograph, coarse, refined and confidence of some labels",
    )
