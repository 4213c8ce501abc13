"""Task: say what a run did, in the output and in Prefect."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow.dataset as pads
from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from redepth.config import Recipe
from redepth.report.gallery import fetch_picture, spread_evenly
from redepth.report.pictures import UNTRAINED_WARNING, draw_contact_sheet
from redepth.store import layout
from redepth.store.catalogue import count_outcomes
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
    """

    outcomes: Mapping[Outcome, int]
    new: Mapping[Outcome, int]
    contact_sheet: str | None


@task(
    task_run_name="report",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=2,
    retry_condition_fn=worth_retrying,
)
def publish_report(out: str, recipe: Recipe, plan: Plan, new: Mapping[Outcome, int]) -> RunReport:
    """Count outcomes, draw a contact sheet of some labels, and publish both."""
    outcomes = count_outcomes(out)
    _publish_outcomes(outcomes)
    sheet = _draw_sheet(open_labels(out), recipe) if plan.manifest is not None else None
    if sheet is None or plan.manifest is None:
        return RunReport(outcomes, new, None)
    _publish_sheet(sheet, recipe)
    url = _store_sheet(out, plan.manifest, sheet)
    return RunReport(outcomes, new, url)


def _publish_outcomes(outcomes: Mapping[Outcome, int]) -> None:
    table = [{"outcome": outcome.words, "images": number} for outcome, number in outcomes.items()]
    create_table_artifact(table, key="outcomes", description="Images by outcome, whole output")


def _draw_sheet(labels: Labels, recipe: Recipe) -> bytes | None:
    """Draw labels at even distances through the output; None where no image has one."""
    with_label = [outcome.value for outcome in Outcome if outcome.has_label]
    ids = labels.table(["id"], pads.field("outcome").isin(with_label))["id"].to_pylist()
    chosen = [labels[image_id] for image_id in spread_evenly(sorted(ids), NUM_PICTURES)]
    if not chosen:
        return None
    pictures = [fetch_picture(label, recipe.labels.decoding) for label in chosen]
    return draw_contact_sheet(pictures, f"{recipe.name}: {len(chosen)} of {len(ids)} labels")


def _store_sheet(out: str, manifest: str, sheet: bytes) -> str:
    """Put the picture below reports/, under the name of the run's manifest."""
    objects = open_objects(out)
    name = f"{layout.REPORTS}/{PurePosixPath(manifest).stem}/contact-sheet.png"
    objects.put(name, sheet)
    return objects.full_url(name)


def _publish_sheet(sheet: bytes, recipe: Recipe) -> None:
    warning = f"**{UNTRAINED_WARNING}**\n\n" if recipe.is_untrained else ""
    picture = base64.b64encode(sheet).decode()
    create_markdown_artifact(
        f"{warning}![contact sheet](data:image/png;base64,{picture})",
        key="contact-sheet",
        description="Photograph, coarse, refined and confidence of some labels",
    )
