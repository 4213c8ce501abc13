"""Label a collection, and look before and after: label, plan, status."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from flows import terminal
from flows.commands.arguments import (
    ANY_WORDS,
    DEFAULT_RECIPE,
    CollectionCommand,
    LabelsUrl,
    Limit,
    Out,
    Overrides,
    Photos,
    RecipeName,
    Retry,
    RetryOption,
)
from flows.embedded_server import quieten_prefect, start_prefect_server
from redepth.config import Recipe, load_recipe
from redepth.costing.budgets import budget_table
from redepth.costing.estimate import CostEstimate, estimate_cost
from redepth.types import Outcome

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
MAX_TROUBLES = 20

PANEL = "Label"

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a run ended: the listed images by outcome, and how many places were not listed."""

    outcomes: Mapping[Outcome, int]
    num_faults: int

    @property
    def has_trouble(self) -> bool:
        without_label = self.outcomes[Outcome.REJECTED] + self.outcomes[Outcome.FAILED]
        return bool(without_label or self.num_faults)


@app.command(
    cls=CollectionCommand,
    context_settings=ANY_WORDS,
    rich_help_panel=PANEL,
    epilog="[bold]Examples[/]\n\n"
    "redepth label holiday/ --out labels/ --recipe mini\n\n"
    "redepth label s3://photos/2026/ --out s3://labels/2026 --actors 8\n\n"
    "redepth label list.csv --out labels/ --set labels.refiner.num_members=5\n\n"
    "redepth label holiday/ --out labels/ --recipe mini --retry failed",
)
def label(
    photos: Photos,
    out: Out,
    recipe: RecipeName = DEFAULT_RECIPE,
    settings: Overrides = None,
    actors: Annotated[
        int | None, typer.Option("--actors", min=1, help="Ray actors; default: as many as fit.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A running Ray cluster, e.g. ray://head:10001; default: a private one.",
        ),
    ] = None,
    limit: Limit = None,
    retry: RetryOption = None,
    max_failures: Annotated[
        str | None,
        typer.Option(
            metavar="N or N%", help="Stop the run when more images fail: a number or a share."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and stop; spends nothing.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="ROOT",
            help="What a list may name besides its own folder, bucket or host: a folder, a prefix, "
            "a host (https://example.org) or a scheme (https://); may be given again.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Exit with 1 if an image was rejected or failed, or if listing was incomplete.",
        ),
    ] = False,
) -> None:
    """Label a collection. Run it again to resume: it does only what is left."""
    overrides = [
        *(settings or ()),
        *([] if actors is None else [f"run.actors.num_actors={actors}"]),
        *([] if max_failures is None else [f"run.actors.max_failures='{max_failures}'"]),
        *([] if not allow else [f"run.sources.allow={json.dumps(allow)}"]),
    ]
    if dry_run:
        plan(photos, out, recipe, overrides, limit, retry)
        return
    try:
        ended = _label(photos, out, recipe, tuple(overrides), ray, limit, _outcomes(retry))
    except KeyboardInterrupt:
        terminal.print_error("stopped. What is committed stays; the same command resumes")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if strict and ended.has_trouble:
        raise typer.Exit(EXIT_FAILED)


@app.command(
    cls=CollectionCommand,
    context_settings=ANY_WORDS,
    rich_help_panel=PANEL,
    epilog="[bold]Example[/]\n\nredepth plan s3://photos/2026/ --out s3://labels/2026",
)
def plan(
    photos: Photos,
    out: Out,
    recipe: RecipeName = DEFAULT_RECIPE,
    settings: Overrides = None,
    limit: Limit = None,
    retry: RetryOption = None,
) -> None:
    """Show what label would do and what it would cost. Writes and spends nothing."""
    from redepth.images.collection import list_images
    from redepth.images.noticed import Noticed
    from redepth.store.dataset import check_recipe
    from redepth.store.planning import draft_plan

    chosen = load_recipe(recipe, settings or ())
    check_recipe(out, chosen)
    noticed = Noticed()
    images, again = list_images(photos, limit, noticed), frozenset(_outcomes(retry))
    whole = _whole(photos, limit)
    with draft_plan(images, out, chosen, again, collection=whole, noticed=noticed) as draft:
        found = draft.plan
    if not found.num_pending:
        terminal.print_nothing_to_do(out, found)
        return
    budgets = budget_table(found.num_pending, chosen)
    estimate = _estimate(out, chosen, found.num_pending)
    if estimate is None and budgets is not None:
        estimate = budgets.estimate
    command = label_command(photos, out, recipe, settings or (), limit, retry or ())
    terminal.print_plan(photos, out, chosen, found, estimate, command, budgets)


@app.command(rich_help_panel=PANEL, epilog="[bold]Example[/]\n\nredepth status labels/")
def status(labels: LabelsUrl) -> None:
    """Count the images that are done, fell back, were rejected, failed, or are left."""
    from redepth.store.lease import lease_of
    from redepth.store.reader import open_labels, summarise

    summary = summarise(labels)
    terminal.print_status(labels, summary, open_labels(labels).troubles(MAX_TROUBLES))
    if (lease := lease_of(labels)) is not None:
        terminal.print_at_work(lease)


def _label(
    photos: str,
    out: str,
    recipe: str,
    overrides: tuple[str, ...],
    ray: str | None,
    limit: int | None,
    retry: tuple[Outcome, ...],
) -> _Ended:
    """Plan first, since that takes no engine: with nothing to do, none is started."""
    from redepth.cluster.readiness import require_readiness
    from redepth.images.collection import canonical_uri, list_images
    from redepth.images.noticed import Noticed
    from redepth.store.dataset import check_recipe, read_dataset
    from redepth.store.planning import draft_plan

    chosen = load_recipe(recipe, overrides)
    source, out = canonical_uri(photos), canonical_uri(out)
    check_recipe(out, chosen)
    noticed = Noticed()
    images, again = list_images(source, limit, noticed), frozenset(retry)
    whole = _whole(source, limit)
    with draft_plan(images, out, chosen, again, collection=whole, noticed=noticed) as draft:
        found = draft.plan
        if not found.num_pending:
            terminal.print_nothing_to_do(out, found)
            return _Ended(found.outcomes, len(found.notices.faults))
        require_readiness(chosen, ray)
        terminal.print_head(photos, out, chosen, found)
        quieten_prefect()
        from flows.prefect_runs import run_to_report

        start_prefect_server()
        report = run_to_report(source, out, chosen, ray, limit, retry, draft)
    models = read_dataset(out).models
    sheet, page = report.contact_sheet, report.page
    terminal.print_summary(
        out, report.outcomes, models, sheet, page, found.notices, report.num_kept, chosen.refines
    )
    settled = {o: 0 if o in retry else number for o, number in found.outcomes.items()}
    outcomes = {outcome: settled[outcome] + report.new.get(outcome, 0) for outcome in Outcome}
    return _Ended(outcomes, len(found.notices.faults))


def label_command(
    photos: str,
    out: str,
    recipe: str,
    settings: Sequence[str],
    limit: int | None,
    retry: Sequence[Retry],
) -> str:
    """Return the command that does what was planned, quoted for a shell."""
    words = ["redepth", "label", photos, "--out", out, "--recipe", recipe]
    words += [word for setting in settings for word in ("--set", setting)]
    words += [] if limit is None else ["--limit", str(limit)]
    words += [word for outcome in retry for word in ("--retry", outcome.value)]
    return shlex.join(words)


def _whole(photos: str, limit: int | None) -> str | None:
    """Name the collection that a listing is the whole of: with a limit it is not."""
    return photos if limit is None else None


def _outcomes(retry: list[Retry] | None) -> tuple[Outcome, ...]:
    return tuple(Outcome(chosen.value) for chosen in retry or ())


def _estimate(out: str, recipe: Recipe, num_images: int) -> CostEstimate | None:
    """Estimate from the labels that exist here, else from what else is known."""
    from redepth.store.catalogue import stage_seconds

    return estimate_cost(num_images, recipe, stage_seconds(out))
