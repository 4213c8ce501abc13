"""What an operator sees of a run that goes on: one page and one bar in Prefect, kept up to date.

Everything here is a view, published from a thread of its own: a server that is slow, or gone, costs
the run nothing.
"""

from __future__ import annotations

import logging
import threading
from contextvars import copy_context
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, cast
from urllib.parse import quote
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.events import emit_event
from prefect.runtime import flow_run

from redepth.config import Recipe
from redepth.costing.estimate import cost_of
from redepth.costing.run_speed import RunSpeed
from redepth.images.noticed import as_lines
from redepth.printable import code_span
from redepth.redaction import shown
from redepth.store.kept import kept_words
from redepth.store.planning import Plan
from tasks.progress import TROUBLE, RunFigures, RunProgress
from tasks.reporting import UNREACHABLE, say_unreachable, shown_if_possible

logger = logging.getLogger(__name__)

PUBLISH_S = 5.0
LABELLING = "labelling"
EVENT_S = 60.0
MIN_IMAGES_FOR_ALERT = 20
MAX_REASONS_SHOWN = 12
MAX_FAULTS_SHOWN = 5
_IN_LINKS = "/:?#@&=%+,;~*$"  # letters of a URL that Markdown gives no meaning between brackets


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Where a run's things are; none of it changes while it goes on.

    Attributes:
        report: URL of the report's page, None until it is written.
        dashboard: URL of Ray's dashboard, None if there is none.
    """

    source: str
    out: str
    report: str | None = None
    dashboard: str | None = None


class RunPage:
    """The page of one run: a context manager, made inside the flow run."""

    def __init__(self, place: RunPlace, recipe: Recipe, plan: Plan, progress: RunProgress) -> None:
        self._place = place
        self._recipe = recipe
        self._plan = plan
        self._progress = progress
        self._flow_run_id = flow_run.get_id()
        self._ended = threading.Event()
        self._has_alerted = False
        self._bar: UUID | None = None
        self._page: UUID | None = None
        with shown_if_possible():
            self._create()
        context = copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._keep,), name="run-page", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._ended.is_set():
            self._end("stopped")

    def show_dashboard(self, url: str | None) -> None:
        """Link Ray's dashboard from now on."""
        self._place = replace(self._place, dashboard=url)

    def show_report(self, url: str) -> None:
        """Link the report from now on: it is written while the run goes on."""
        self._place = replace(self._place, report=url)

    def end(self, report: str | None) -> None:
        """Show the last figures and where the report is."""
        self._place = replace(self._place, report=report)
        self._end("ended")

    def _create(self) -> None:
        # Coroutines only where a loop is running.
        self._bar = cast(
            "UUID", create_progress_artifact(0.0, key="progress", description="images")
        )
        self._page = cast(
            "UUID",
            create_markdown_artifact(
                self._markdown(self._progress.figures(), LABELLING),
                key="run",
                description="This run: progress, speed, time left, cost, outcomes",
            ),
        )

    def _end(self, stage: str) -> None:
        self._ended.set()
        self._thread.join(timeout=2 * PUBLISH_S)
        self._publish(stage)

    def _keep(self) -> None:
        silent_s, num_told = 0.0, 0
        while not self._ended.wait(PUBLISH_S):
            figures = self._publish(LABELLING)
            silent_s += PUBLISH_S
            if figures.num_done > num_told and silent_s >= EVENT_S:
                self._tell("redepth.run.progressed", figures)
                silent_s, num_told = 0.0, figures.num_done

    def _publish(self, stage: str) -> RunFigures:
        figures = self._progress.figures()
        if self._bar is None or self._page is None:
            return figures
        try:
            with get_client(sync_client=True) as client:
                share = min(100.0 * figures.num_done / max(figures.num_images, 1), 100.0)
                # The cards of a run's artifacts show nothing but their descriptions.
                words = at_a_glance(figures, self._recipe, stage)
                client.update_artifact(self._bar, ArtifactUpdate(data=share, description=words))
                page = ArtifactUpdate(data=self._markdown(figures, stage), description=words)
                client.update_artifact(self._page, page)
            self._alert(figures, is_last=stage != LABELLING)
        except UNREACHABLE as error:
            say_unreachable(error)
        except Exception as error:  # a view: the next one may come through
            logger.debug("the run's page was not published: %s", error)
        return figures

    def _markdown(self, figures: RunFigures, stage: str) -> str:
        return page_markdown(self._place, self._recipe, self._plan, figures, stage)

    def _alert(self, figures: RunFigures, *, is_last: bool) -> None:
        """Emit, once a run, that too many images are rejected: an automation may listen."""
        is_enough = is_last or figures.num_done >= MIN_IMAGES_FOR_ALERT
        limit = self._recipe.run.alert_rejected_share
        if is_enough and not self._has_alerted and figures.rejected_share > limit:
            self._has_alerted = True
            self._tell("redepth.run.rejecting", figures)

    def _tell(self, event: str, figures: RunFigures) -> None:
        emit_event(
            event,
            resource={
                "prefect.resource.id": f"prefect.flow-run.{self._flow_run_id}",
                "prefect.resource.name": str(flow_run.get_name()),
                "redepth.out": shown(self._place.out),
            },
            payload={
                "num_done": figures.num_done,
                "num_images": figures.num_images,
                "rejected_share": round(figures.rejected_share, 4),
                "outcomes": {o.value: n for o, n in figures.outcomes.items()},
            },
        )


def page_markdown(
    place: RunPlace, recipe: Recipe, plan: Plan, figures: RunFigures, stage: str
) -> str:
    """Write the page: what an operator asks, in the order in which one asks it."""
    facts = {
        "stage": "starting actors" if stage == LABELLING and not figures.num_actors else stage,
        "done": _done(figures),
        "speed": _speed(figures),
        **dict(speed_of(figures, recipe).facts()),
        "time left": _time_left(figures) if stage == LABELLING else "",
        "cost so far" if stage == LABELLING else "cost": _cost(figures, recipe),
        "outcomes": ", ".join(f"{n:,} {o.words}" for o, n in figures.outcomes.items() if n) or "-",
        "before this run": f"{plan.num_listed:,} listed, {plan.num_done:,} done already",
        "changed since": f"{plan.num_changed:,}, {_changed(recipe)}" if plan.num_changed else "",
        "kept": kept_words(figures.num_kept),
        "vanished": vanished_words(plan),
        "not listed": unlisted_words(plan),
        "photographs": code_span(shown(place.source)),
        "labels": code_span(shown(place.out)),
        "report": _link(place.report),
        "Ray's dashboard": _link(place.dashboard),
    }
    lines = ["| | |", "|---|---|"]
    lines += [f"| {name} | {words} |" for name, words in facts.items() if words]
    return "\n".join([*lines, *_reasons(figures)])


def speed_of(figures: RunFigures, recipe: Recipe) -> RunSpeed:
    """Return how fast the run has been so far."""
    return figures.work.speed(recipe, figures.num_actors, figures.seconds_of_work)


def at_a_glance(figures: RunFigures, recipe: Recipe, stage: str) -> str:
    """Say in a line how far the run is, how fast, and what went wrong."""
    facts = [f"{figures.num_done:,} of {figures.num_images:,}"]
    if figures.num_done and stage == LABELLING:
        facts.append(f"{duration_words(_seconds_left(figures))} left")
    facts += [f"{n:,} {o.words}" for o in TROUBLE if (n := figures.outcomes.get(o, 0))]
    if figures.num_done and figures.seconds_labelling:
        facts.append(f"{_rate(figures):,.0f} an hour")
    busy = speed_of(figures, recipe).busy_share
    if busy is not None:
        facts.append(f"models {busy:.0%} busy")
    price = cost_of(_actor_hours(figures), recipe.run.cost)
    if price is not None:
        facts.append(f"{price:,.2f} {recipe.run.cost.currency}")
    return ", ".join(facts)


def vanished_words(plan: Plan) -> str:
    """Say how many images are not listed any more, and where some of them were; else nothing."""
    if not plan.num_vanished:
        return ""
    named = ", ".join(code_span(shown(uri)) for uri in plan.vanished[:3])
    more = ", ..." if plan.num_vanished > len(plan.vanished[:3]) else ""
    return f"{plan.num_vanished:,} labelled before and not there any more: {named}{more}"


def unlisted_words(plan: Plan) -> str:
    """Say which places could not be listed, and what was passed over by kind; else nothing."""
    return "; ".join(code_span(line) for line in as_lines(plan.notices, MAX_FAULTS_SHOWN))


def duration_words(seconds: float) -> str:
    """Say a duration as a person does: seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours / 24:.1f} days"


def _done(figures: RunFigures) -> str:
    share = figures.num_done / max(figures.num_images, 1)
    return f"**{figures.num_done:,} of {figures.num_images:,}** images ({share:.0%})"


def _speed(figures: RunFigures) -> str:
    if not figures.num_done or not figures.seconds_labelling:
        return "not known yet"
    rate = _rate(figures)
    actors = f"{figures.num_actors} actor{'' if figures.num_actors == 1 else 's'}"
    return f"**{rate:,.0f} images an hour** on {actors}"


def _time_left(figures: RunFigures) -> str:
    if not figures.num_done:
        return "not known yet"
    return f"about {duration_words(_seconds_left(figures))}"


def _seconds_left(figures: RunFigures) -> float:
    each = figures.seconds_labelling / figures.num_done
    return each * (figures.num_images - figures.num_done)


def _rate(figures: RunFigures) -> float:
    return figures.num_done * 3600.0 / figures.seconds_labelling


def _actor_hours(figures: RunFigures) -> float:
    return figures.num_actors * figures.seconds_of_actors / 3600.0


def _cost(figures: RunFigures, recipe: Recipe) -> str:
    hours = _actor_hours(figures)
    price = cost_of(hours, recipe.run.cost)
    if price is None:
        return f"{hours:.2g} actor hours (no price: run.cost.price_per_actor_hour)"
    return f"**{price:,.2f} {recipe.run.cost.currency}** ({hours:.2g} actor hours)"


def _changed(recipe: Recipe) -> str:
    if recipe.run.changed == "keep":
        return "labels kept (run.changed)"
    return "labelled anew, but for those whose bytes are the same"


def _link(url: str | None) -> str:
    if url is None:
        return ""
    url = shown(url)
    if not url.startswith(("http://", "https://")):
        return code_span(url)
    return f"[{code_span(url)}]({quote(url, safe=_IN_LINKS)})"


def _reasons(figures: RunFigures) -> list[str]:
    ranked = sorted(figures.reasons.items(), key=lambda item: (-item[1], item[0]))
    if not ranked:
        return []
    lines = [
        "",
        "### Why images are not refined",
        "",
        "| images | outcome | reason | for instance |",
        "|---|---|---|---|",
    ]
    for key, number in ranked[:MAX_REASONS_SHOWN]:
        outcome, reason = key
        cells = (f"{number:,}", outcome.words, code_span(reason), code_span(figures.examples[key]))
        lines.append(f"| {' | '.join(cells)} |")
    if len(ranked) > MAX_REASONS_SHOWN:
        num_more = len(ranked) - MAX_REASONS_SHOWN
        lines.append(f"| | | and {num_more} other reasons: see the report | |")
    return lines
