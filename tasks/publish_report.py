"""Task: say what a run did, in the output and in Prefect."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pyarrow.dataset as pads
from prefect import task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.cache_policies import NO_CACHE

from redepth.config import Recipe
from redepth.costing.run_speed import RunSpeed
from redepth.images.allowed import ANYTHING, Allowed
from redepth.images.locator import Photographs
from redepth.printable import code_span, one_line
from redepth.redaction import shown
from redepth.report.figures import CatalogueFigures, Group, read_figures
from redepth.report.gallery import fetch_picture, spread_evenly
from redepth.report.page import render_page
from redepth.report.page_data import RunFacts, read_page
from redepth.report.pictures import (
    SHEET_PHOTOGRAPH_PX,
    UNTRAINED_WARNING,
    LabelPicture,
    draw_contact_sheet,
)
from redepth.store import layout
from redepth.store.catalogue import committed_images
from redepth.store.manifest import planned_at
from redepth.store.objects import open_objects
from redepth.store.planning import Plan
from redepth.store.reader import Labels, open_labels
from redepth.store.run_record import put_speed
from redepth.types import Outcome
from tasks.reporting import shown_if_possible
from tasks.retrying import worth_retrying
from tasks.run_page import unlisted_words, vanished_words

PAGE = "index.html"
NUM_PICTURES = 6
NUM_WORST = 3
MAX_REASONS = 20


@dataclass(frozen=True, slots=True)
class RunReport:
    """How an output stands after a run.

    Attributes:
        outcomes: images by outcome, over the whole output.
        new: the images that this run gave an outcome, by outcome; kept labels are among them.
        num_kept: those of them whose photographs were touched and have the same bytes.
        contact_sheet: URL of the PNG, None where there is no label to draw.
        page: URL of the report, None where the run had nothing to do.
    """

    outcomes: Mapping[Outcome, int]
    new: Mapping[Outcome, int]
    contact_sheet: str | None = None
    page: str | None = None
    num_kept: int = 0


@task(
    task_run_name="report",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_condition_fn=worth_retrying,
)
def publish_report(
    out: str,
    recipe: Recipe,
    plan: Plan,
    new: Mapping[Outcome, int],
    allowed: Allowed = ANYTHING,
    num_kept: int = 0,
    speed: RunSpeed | None = None,
) -> RunReport:
    """Count outcomes, write the report's page and a contact sheet, and publish what they say.

    Args:
        allowed: what the run may read of photographs.
        num_kept: images of `new` whose label of before was kept.
        speed: how fast the run was; is written beside the report, and on it.
    """
    if plan.manifest is None:
        with shown_if_possible():
            _publish_nothing_to_do(out, plan)
        return RunReport(plan.outcomes, new)
    committed_images(open_objects(out), keep_index=True)  # for the next plan
    if speed is not None:
        put_speed(open_objects(out), plan.manifest, speed)
    # The output's own first: a server that is gone keeps the artifacts waiting, not the report.
    photographs = Photographs(recipe.labels.decoding, allowed)
    num_made = sum(new.values()) - num_kept
    html = _write_page(out, recipe, plan.manifest, num_made, photographs)
    page = store_report(out, plan.manifest, PAGE, html)
    labels, figures = open_labels(out), read_figures(out)
    sheet = _draw_sheet(labels, recipe, photographs)
    contact_sheet = None
    if sheet is not None:
        contact_sheet = store_report(out, plan.manifest, "contact-sheet.png", sheet)
    with shown_if_possible():
        _publish_outcomes(figures)
        _publish_link(page)
        _publish_worst(labels, figures, recipe, photographs)
        if sheet is not None:
            _publish_sheet(sheet, recipe, page)
    return RunReport(figures.outcomes, new, contact_sheet, page, num_kept)


def write_interim_report(
    out: str, recipe: Recipe, plan: Plan, num_made: int, allowed: Allowed
) -> str | None:
    """Write the report's page while the run goes on; return its URL, None before any label."""
    is_empty = not open_objects(out).list(layout.LABELS, layout.PARQUET)
    if plan.manifest is None or is_empty:
        return None
    photographs = Photographs(recipe.labels.decoding, allowed)
    html = _write_page(out, recipe, plan.manifest, num_made, photographs)
    return store_report(out, plan.manifest, PAGE, html)


def _publish_nothing_to_do(out: str, plan: Plan) -> None:
    """Say so in the place where an operator looks for a run's figures."""
    ended = ", ".join(f"{n:,} {o.words}" for o, n in plan.outcomes.items() if n)
    told = "\n\n".join([vanished_words(plan), unlisted_words(plan)])
    words = f"**Nothing to do**: all {plan.num_listed:,} images have their outcome ({ended}) in "
    create_markdown_artifact(
        f"{words}{code_span(shown(out))}.\n\n{told}",
        key="run",
        description="This run",
    )


def _publish_outcomes(figures: CatalogueFigures) -> None:
    ranked = sorted(figures.reasons.items(), key=lambda item: (-item[1], item[0]))[:MAX_REASONS]
    table = []
    for outcome, number in figures.outcomes.items():
        table.append({"outcome": outcome.words, "reason": "", "images": number})
        table += [
            {"outcome": "", "reason": one_line(reason), "images": of_them}
            for (of_outcome, reason), of_them in ranked
            if of_outcome is outcome
        ]
    create_table_artifact(
        table, key="outcomes", description="Images by outcome and reason, whole output"
    )


def _publish_link(page: str) -> None:
    """Link the report where a browser can follow; elsewhere the run's page has its path."""
    if page.startswith(("http://", "https://")):
        create_link_artifact(page, link_text="The report", key="report")


def _publish_worst(
    labels: Labels, figures: CatalogueFigures, recipe: Recipe, photographs: Photographs
) -> None:
    """Show the labels that a person should look at first."""
    sections = []
    for group in (Group.CHANGED, Group.UNSURE):
        # A table of all zeros shows the first images of the listing, not the worst.
        if group is Group.CHANGED and not figures.drift.total:
            continue
        ids = figures.chosen[group]["id"].to_pylist()[:NUM_WORST]
        pictures = [
            fetch_picture(labels[image_id], photographs, SHEET_PHOTOGRAPH_PX) for image_id in ids
        ]
        if pictures:
            sheet = _small(draw_contact_sheet(pictures, f"{recipe.name}: {group.words}"))
            sections.append(f"### {group.words.capitalize()}\n\n{_named(pictures)}\n\n{sheet}")
    if sections:
        create_markdown_artifact(
            "\n\n".join(sections),
            key="worst",
            description="Largest drift and lowest confidence, of the whole output",
        )


def _named(pictures: Sequence[LabelPicture]) -> str:
    lines = ["| image | drift | confidence | photograph |", "|---|---|---|---|"]
    for picture in pictures:
        row = picture.row
        drift = "-" if row.drift is None else f"{row.drift:.1%}"
        confidence = "-" if row.mean_confidence is None else f"{row.mean_confidence:.2f}"
        cells = (code_span(row.id), drift, confidence, code_span(shown(row.uri)))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _small(png: bytes) -> str:
    return f"![pictures](data:image/png;base64,{base64.b64encode(png).decode()})"


def _write_page(
    out: str,
    recipe: Recipe,
    manifest: str,
    num_made: int,
    photographs: Photographs,
) -> bytes:
    """Make the page; a run lasts from its plan to here."""
    now = datetime.now(UTC)
    run = RunFacts(num_made, (now - planned_at(manifest)).total_seconds())
    return render_page(read_page(out, recipe.run.cost, now, run, photographs)).encode()


def _draw_sheet(labels: Labels, recipe: Recipe, photographs: Photographs) -> bytes | None:
    """Draw labels at even distances through the output; None where no image has one."""
    with_label = [outcome.value for outcome in Outcome if outcome.has_label]
    ids = labels.table(["id"], pads.field("outcome").isin(with_label))["id"].to_pylist()
    chosen = [labels[image_id] for image_id in spread_evenly(sorted(ids), NUM_PICTURES)]
    if not chosen:
        return None
    pictures = [fetch_picture(label, photographs, SHEET_PHOTOGRAPH_PX) for label in chosen]
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
    create_markdown_artifact(
        f"{warning}The report: {code_span(shown(page))}\n\n{_small(sheet)}",
        key="contact-sheet",
        description="Photograph, coarse, refined and confidence of some labels",
    )
