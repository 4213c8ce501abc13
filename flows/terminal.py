"""What `redepth` prints: plans, summaries and errors, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from redepth.costing.estimate import USUAL_SHARE
from redepth.costing.weights import download_words, gpu_memory_words
from redepth.images.noticed import Notices, as_lines, fault_lines
from redepth.printable import one_line
from redepth.redaction import shown
from redepth.refiners.triage import RoutingFacts, routing_facts
from redepth.store.layout import FRAGMENT_GLOB
from redepth.types import COARSE_ONLY, LabelRow, ModelCard, Outcome
from tasks.console import RunConsole

if TYPE_CHECKING:
    from flows.deployments import DeploymentLine
    from flows.distill import Distilled
    from flows.doctor import Finding
    from redepth.config import Deployment, Recipe
    from redepth.costing.budgets import BudgetTable
    from redepth.costing.coarse_table import CoarseLine
    from redepth.costing.estimate import CostEstimate
    from redepth.exports.writing import Exported
    from redepth.geometry.points import PointCloud
    from redepth.report.cards import Gallery
    from redepth.store.cleaning import Leftover
    from redepth.store.lease import LeaseState
    from redepth.store.photographs import PhotographCheck
    from redepth.store.planning import Plan
    from redepth.store.reader import OutputSummary
    from redepth.store.verification import Verification

out = RunConsole(highlight=False, soft_wrap=True, emoji=False)
err = RunConsole(stderr=True, highlight=False, soft_wrap=True, emoji=False)

UNTRAINED = (
    "[bold red]untrained[/]: this recipe's models have weights from a seed; labels are meaningless"
)
SCALES = (1, 8, 64)
MAX_LEFTOVERS = 20
MAX_IGNORED = 20
MAX_FAULTS_SHOWN = 5
TROUBLE = (Outcome.FELL_BACK, Outcome.REJECTED, Outcome.FAILED)
_NO_SPEED = "seconds unknown: label some images with this method alone, or set run.cost.device"
_COLOURS = {
    Outcome.REFINED: "green",
    Outcome.FELL_BACK: "yellow",
    Outcome.REJECTED: "yellow",
    Outcome.FAILED: "red",
}


def print_error(words: str) -> None:
    """Say on stderr what is wrong and what to do."""
    err.print("[bold red]error:[/]", end=" ")
    err.print(words, markup=False)


def print_head(source: str, where: str, recipe: Recipe, plan: Plan) -> None:
    """Say what is about to be done, before it takes any time."""
    err.print(f"[bold]{_plain(recipe.name)}[/]  {_plain(source)} -> {_plain(where)}")
    err.print(
        f"{_images(plan.num_listed)} listed, {plan.num_done} done, {plan.num_pending} to do "
        f"in {_count(plan.num_shards, 'shard')}"
    )
    for line in (*_since_then(plan), *as_lines(plan.notices, MAX_FAULTS_SHOWN)):
        err.print(line, markup=False)
    if recipe.is_untrained:
        err.print(UNTRAINED)


def print_nothing_to_do(where: str, plan: Plan) -> None:
    """Say that every listed image has its outcome already."""
    listed = _images(plan.num_listed)
    out.print(f"Nothing to do: all {listed} have their outcome in {_plain(where)}.")
    for line in (*_since_then(plan), *as_lines(plan.notices, MAX_FAULTS_SHOWN)):
        out.print(line, markup=False)
    again = [o for o in (Outcome.FAILED, Outcome.REJECTED) if plan.outcomes[o]]
    for outcome in again:
        number = plan.outcomes[outcome]
        out.print(f"{_images(number)} {outcome.words}; try again with --retry {outcome.value}")


def print_plan(
    source: str,
    where: str,
    recipe: Recipe,
    plan: Plan,
    estimate: CostEstimate | None,
    command: str,
    budgets: BudgetTable | None = None,
) -> None:
    """Show what would be done and what it would cost.

    Args:
        budgets: of a recipe that sends images one way or the other.
    """
    facts = [
        ("recipe", f"{recipe.name}: {recipe.description}"),
        ("photographs", source),
        ("labels", where),
        ("listed", _images(plan.num_listed)),
        ("done", str(plan.num_done)),
        ("to do", f"{_images(plan.num_pending)}, {plan.size_bytes / 1e6:.1f} MB to read"),
        *(("since then", line) for line in _since_then(plan)),
        *(("not listed", line) for line in as_lines(plan.notices, MAX_FAULTS_SHOWN)),
        ("shards", f"{plan.num_shards} of up to {recipe.run.sharding.images_per_shard} images"),
        ("cost", _cost_words(recipe, estimate, at_most=plan.num_if_changed > 0)),
        *(("time", line) for line in _time_lines(recipe, estimate)),
        ("download", download_words(recipe)),
        ("GPU memory", gpu_memory_words(recipe)),
        *(("licence", line) for line in recipe.licence_lines()),
    ]
    _print_facts(facts)
    if budgets is not None:
        _print_budgets(budgets, recipe)
    if recipe.is_untrained:
        out.print(UNTRAINED)
    out.print(f"Nothing was written or spent. To run it: {_plain(command)}")


def print_summary(
    where: str,
    outcomes: Mapping[Outcome, int],
    models: tuple[ModelCard, ...],
    sheet: str | None,
    page: str | None,
    notices: Notices,
    num_kept: int = 0,
    refines: bool = True,
) -> None:
    """Say at the end of a run how the output stands and where things are."""
    out.print(_outcome_table(outcomes))
    if not refines:
        out.print(f"{COARSE_ONLY}: the recipe asks for nothing more")
    if num_kept:
        out.print(f"{_kept(num_kept)}.")
    for line in fault_lines(notices, MAX_FAULTS_SHOWN):
        out.print(line, markup=False)
    facts = [("labels", where), ("catalogue", f"{where.rstrip('/')}/{FRAGMENT_GLOB}")]
    if page is not None:
        facts.append(("report", page))
    if sheet is not None:
        facts.append(("contact sheet", sheet))
    for model in models:
        if model.non_commercial:
            words = f"{model.name} is {model.licence}: these labels are not for commercial use"
            facts.append(("licence", words))
    facts.append(("look at one", f"redepth show {where} IMAGE_ID --png label.png"))
    if any(outcomes[outcome] for outcome in TROUBLE):
        facts.append(("why not refined", f"redepth status {where}"))
    _print_facts(facts)
    if any(model.untrained for model in models):
        out.print(UNTRAINED)


def print_status(where: str, summary: OutputSummary, troubles: Sequence[LabelRow]) -> None:
    """Show how far an output is, and why images have no refined label."""
    dataset = summary.dataset
    name, created = _plain(dataset.recipe_name), _plain(dataset.created)
    out.print(f"[bold]{_plain(where)}[/]  recipe {name}, begun {created}")
    table = _outcome_table(summary.outcomes)
    table.add_row("left", str(summary.num_left))
    out.print(table)
    if summary.methods:
        words = _method_words(summary.methods, routing_facts(dataset.models))
        out.print(f"refined by {_plain(words)}")
    if summary.num_ignored:
        names = _count(summary.num_ignored, "name")
        words = "in labels/ that no fragment has; redepth verify names them"
        out.print(f"[yellow]ignored[/]  {names} {words}")
    for row in troubles:
        colour = _COLOURS[row.outcome]
        out.print(f"[{colour}]{row.outcome.words}[/]  {_plain(row.id)}: {_plain(row.reason or '')}")
    num_more = sum(summary.outcomes[outcome] for outcome in TROUBLE) - len(troubles)
    if num_more > 0:
        out.print(
            f"... and {num_more} more: the column 'reason' of {_plain(where)}/{FRAGMENT_GLOB}"
        )
    for line in as_lines(summary.notices, MAX_FAULTS_SHOWN):
        out.print(f"the last plan: {line}", markup=False)
    if summary.num_kept:
        out.print(f"In the last run, {_kept(summary.num_kept)}.")
    if facts := [] if summary.speed is None else list(summary.speed.facts()):
        out.print("the last run:")
        _print_facts(facts)
    if dataset.untrained:
        out.print(UNTRAINED)


def print_at_work(lease: LeaseState) -> None:
    """Say that a run holds the output, and when it last said so."""
    if lease.holder is not None:
        run, host = _plain(lease.holder.run), _plain(lease.holder.host)
        times = f"since {_plain(lease.since)}, last sign of life {_plain(lease.renewed)}"
        out.print(f"[bold]at work[/]  {run}, process {lease.holder.pid} on {host}, {times}")


def print_refined(row: LabelRow, files: Sequence[Path]) -> None:
    """Say what became of a photograph, and where its maps lie."""
    colour = _COLOURS[row.outcome]
    why = f" ({_plain(row.reason)})" if row.reason else ""
    out.print(f"[{colour}]{row.outcome_words}[/]  {_plain(row.id)}, {row.kind}{why}")
    if row.untrained:
        out.print(UNTRAINED)
    for path in files:
        out.print(f"  {path}", markup=False, highlight=False, soft_wrap=True)


def print_row(row: LabelRow, png: Path, unread: str | None = None) -> None:
    """Show one line of the catalogue, where its picture was written, and what is not on it."""
    facts = []
    for field in fields(row):
        value = getattr(row, field.name)
        if value is not None:
            words = f"{value:.4g}" if isinstance(value, float) else str(value)
            facts.append((field.name, words))
    left_out = [] if unread is None else [("not shown", f"the photograph: {unread}")]
    _print_facts([*facts, ("picture", str(png)), *left_out])


def print_cloud(
    cloud: PointCloud, points: Path | None, view: Path | None, mesh: Path | None = None
) -> None:
    """Say where a point cloud is, and which pixels are not in it."""
    left_out = f"{cloud.num_flying:,} between surfaces, {cloud.num_unknown:,} without depth"
    facts = [("points", f"{len(cloud):,}"), ("pixels left out", left_out)]
    facts += [("point cloud", str(points))] if points is not None else []
    facts += [("seen from three sides", str(view))] if view is not None else []
    facts += [("surface", str(mesh))] if mesh is not None else []
    facts += [("unit", cloud.unit)]
    _print_facts(facts)


def print_export(where: str, exported: Exported) -> None:
    """Say where an export is and what describes it, and what is not in it."""
    root = where.rstrip("/")
    facts = [
        ("exported", f"{_images(exported.num_images)} in {where}"),
        ("what it says", f"{root}/export.json: kind, unit, scale, invalid, precision"),
        ("catalogue", f"{root}/catalogue.parquet"),
    ]
    for reason, number in exported.left_out.items():
        words = f"{_images(number)}, the photograph {reason}: {root}/left-out; run again to retry"
        facts.append(("left out", words))
    facts += [("left out", why) for why in exported.absent.values()]
    facts += [(what, _plain(said)) for what, said in exported.remarks.items()]
    if exported.num_lost:
        words = (
            f"{_count(exported.num_lost, 'pixel')} beyond what the format can say; another --set or"
        )
        facts.append(("invalid", f"{words} --format (npy and exr are exact), and another --out"))
    _print_facts(facts)


def print_verification(
    where: str, found: Verification, photographs: PhotographCheck | None = None
) -> None:
    """Say what re-reading an output came to, and everything that is wrong with it.

    Args:
        photographs: what comparing them came to; None if they were not read.
    """
    for problem in found.problems:
        out.print(f"[red]wrong[/]  {_plain(problem)}")
    if found.num_problems > len(found.problems):
        out.print(f"... and {found.num_problems - len(found.problems)} more")
    for name in found.ignored[:MAX_IGNORED]:
        out.print(f"[yellow]ignored[/]  labels/{_plain(name)}: no fragment has such a name")
    if len(found.ignored) > MAX_IGNORED:
        out.print(f"... and {len(found.ignored) - MAX_IGNORED} more")
    named = () if photographs is None else photographs.named
    for problem in named:
        out.print(f"[yellow]photograph[/]  {_plain(problem)}")
    if photographs is not None and photographs.num_others > len(named):
        out.print(f"... and {photographs.num_others - len(named)} photographs more")
    out.print(_outcome_table(found.outcomes))
    _print_facts(
        [
            ("read again", f"{_images(found.num_images)}, {found.num_groups} array groups"),
            ("content", f"sha256 {found.content_digest} of {', '.join(found.quantities)}"),
            ("problems", str(found.num_problems or "none")),
            ("photographs", _compared_words(photographs)),
        ]
    )


def print_leftovers(where: str, leftovers: Sequence[Leftover], *, removed: bool) -> None:
    """Say what nothing names, and how to have it removed."""
    for leftover in leftovers[:MAX_LEFTOVERS]:
        kind = " (unfinished upload)" if leftover.upload_id else ""
        size = f"{leftover.num_bytes / 1e6:.1f} MB"
        out.print(f"{leftover.changed:%Y-%m-%d %H:%M}  {size:>10}  {_plain(leftover.name)}{kind}")
    if len(leftovers) > MAX_LEFTOVERS:
        out.print(f"... and {len(leftovers) - MAX_LEFTOVERS} more")
    num_bytes = sum(leftover.num_bytes for leftover in leftovers)
    found = f"{_count(len(leftovers), 'leftover')}, {num_bytes / 1e6:.1f} MB"
    if removed:
        out.print(f"Removed {found} from {_plain(where)}.")
    elif leftovers:
        out.print(f"{found} in {_plain(where)}. Nothing was removed; to remove them: add --yes")
    else:
        out.print(f"Nothing is left over in {_plain(where)}.")


def print_report(page: Path, num_images: int, gallery: Gallery) -> None:
    """Say where a page was written, what is on it, and which photographs are not."""
    size_bytes, num_shown = page.stat().st_size, len(gallery.cards)
    words = f"{_images(num_images)}, {_count(num_shown, 'picture')}, {size_bytes / 1e6:.1f} MB"
    left_out = [] if gallery.unread is None else [("without", gallery.unread)]
    _print_facts([("report", str(page)), ("of", words), *left_out])


def print_deployed(name: str, wanted: Deployment) -> None:
    """Say what was registered, when it runs, and what is needed for that."""
    when = "only on demand"
    if wanted.cron is not None:
        when = f"{wanted.cron} ({wanted.timezone})"
    elif wanted.every_s is not None:
        when = f"every {wanted.every_s:g} s"
    facts = [
        ("deployed", name),
        ("photographs", str(wanted.photos)),
        ("labels", str(wanted.out)),
        ("when", when),
    ]
    if wanted.pool is None:
        facts.append(("runs", "here, until Ctrl-C"))
    else:
        facts.append(
            ("runs", f"on work pool {wanted.pool}; prefect worker start --pool {wanted.pool}")
        )
        facts.append(("once, now", f"redepth deploy run {name}"))
    _print_facts(facts)


def print_deployments(lines: Sequence[DeploymentLine]) -> None:
    """List deployments, one a line."""
    if not lines:
        out.print("no deployments yet; see redepth deploy --help")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("deployment", "schedule", "pool", "last run", "next (UTC)"):
        table.add_column(column)
    for line in lines:
        due = "paused" if line.is_paused else "-"
        if line.next_due is not None and not line.is_paused:
            due = f"{line.next_due.astimezone(UTC):%m-%d %H:%M:%S}"
        cells = (line.name, line.schedule, line.pool, line.last, due)
        table.add_row(*map(_plain, cells))
    out.print(table)
    for line in lines:
        out.print(f"[dim]{_plain(line.name)}[/]  {_plain(line.source)} -> {_plain(line.out)}")


def print_finding(finding: Finding) -> None:
    """Show one check of redepth doctor, and what to do about it."""
    colour = {"good": "green", "bad": "bold red", "skipped": "dim"}[finding.verdict.value]
    verdict = f"[{colour}]{finding.verdict.value:<7}[/]"
    out.print(f"{verdict} {finding.check:<8}  {_plain(finding.found)}")
    if finding.fix:
        out.print(f"{'':<18}[bold]fix:[/] {_plain(finding.fix)}")


def print_distilled(found: Distilled) -> None:
    """Say what a student is worth, what it costs, and the commands that use it."""
    kept = f"{found.kept_share:.0%} of the teacher's change, on {found.num_held_out} kept out"
    if found.kept_share_before is not None:
        kept += f" (the round before: {found.kept_share_before:.0%})"
    facts = [
        ("teacher", f"{_images(found.num_chosen)} of {found.num_listed}"),
        (f"student, round {found.round}", kept),
        ("left alone", f"{found.left_alone_share:.0%} of these, as unlike what it has seen"),
    ]
    if found.teacher_seconds and found.student_seconds:
        times = found.teacher_seconds / found.student_seconds
        facts.append(
            (
                "seconds an image",
                f"{found.student_seconds:.3f} instead of {found.teacher_seconds:.2f} "
                f"({times:.0f} times faster, measured here)",
            )
        )
    _print_facts([*facts, ("weights", found.model), ("look at", found.page)])
    out.print("")
    out.print(f"redepth label PHOTOS --out LABELS --recipe {found.recipe}", markup=False)
    out.print(f"redepth label PHOTOS --out LABELS --recipe {found.cascade}", markup=False)


def print_recipes(recipes: Mapping[str, str], default: str) -> None:
    """List the shipped recipes with what each is for."""
    marked = {f"{name} (default)" if name == default else name: recipes[name] for name in recipes}
    _print_facts(list(marked.items()))


def print_models(lines: Iterable[CoarseLine], device: str | None) -> None:
    """List coarse models in a table, and what its figures rest on."""
    table = Table(box=None, pad_edge=False)
    for head in ("model", "gives", "parameters", "TFLOP", "s an image", "licence"):
        table.add_column(head, overflow="fold", no_wrap=head == "model")
    num_timed = 0
    for line in lines:
        num_timed += line.seconds is not None
        name = f"{line.name} *" if line.refined_by_tokens else line.name
        count = "not counted" if line.tera_flops is None else f"{line.tera_flops:.2g}"
        cells = (name, line.gives, line.parameters, count, _seconds(line), line.licence)
        table.add_row(*(_plain(cell) for cell in cells))
    out.print(table)
    out.print("* Re-Depth Anything can optimise it; the other refiners take the map of any model.")
    out.print("TFLOP: operations of one image of usual shape, both sides at most 518 px.")
    where = "this machine's GPU" if device is None else _plain(device)
    if not num_timed:
        out.print(f"s an image: nothing is known of {where}; name a card, --device 'NVIDIA L4'.")
        return
    share = f"{USUAL_SHARE:.0%} of what its data sheet promises"
    out.print(f"s an image: on {where}; measured in a run, or ~ estimated at {share}.")


def _seconds(line: CoarseLine) -> str:
    if line.seconds is None:
        return "-"
    return f"{'' if line.is_measured else '~ '}{line.seconds:.2g}"


def _method_words(methods: Mapping[str, int], routing: RoutingFacts | None) -> str:
    """Say which method made how many labels, and how many were meant for the expensive one."""
    total = sum(methods.values())
    words = ", ".join(f"{name} {number} ({number / total:.1%})" for name, number in methods.items())
    if routing is None:
        return words
    return f"{words}; the budget of {routing.expensive} is {100 * routing.budget:.3g}%"


def _print_budgets(table: BudgetTable, recipe: Recipe) -> None:
    """Show cost against expected gain, and what the figures rest on."""
    priced = recipe.run.cost.price_per_actor_hour is not None
    heads = ["budget", "expected gain", "s an image", "actor hours"]
    heads += [_plain(recipe.run.cost.currency)] if priced else []
    lines = Table(box=None, pad_edge=False, header_style="bold")
    for head in (*heads, ""):
        lines.add_column(head, justify="right")
    for line in table.lines:
        figures = (line.seconds, line.actor_hours, *([line.price] if priced else []))
        words = ["-" if value is None else f"{value:,.3g}" for value in figures]
        own = "this recipe" if line.is_own else ""
        lines.add_row(f"{100 * line.share:.3g}%", f"{line.expected_gain:.1%}", *words, own)
    out.print(lines)
    like = f"of a collection like the one distilled from ({table.num_held_out} held-out images)"
    speeds = ((table.cheap, table.cheap_basis), (table.expensive, table.expensive_basis))
    facts = [
        ("budget", f"share of images for {table.expensive} beside {table.cheap}, {like}"),
        ("expected gain", f"of what {table.expensive} would change in all images"),
        *((name, _NO_SPEED if basis is None else basis.words) for name, basis in speeds),
    ]
    _print_facts(facts)


def _since_then(plan: Plan) -> list[str]:
    """Say what became of photographs that have a label already."""
    lines = []
    if plan.num_changed:
        words = f"{_images(plan.num_changed)} changed since the label was made"
        if plan.num_if_changed:
            words += "; those whose bytes are the same keep their label, each is read once"
        lines.append(words)
    if plan.num_vanished:
        named = ", ".join(map(shown, plan.vanished[:3]))
        more = ", ..." if plan.num_vanished > len(plan.vanished[:3]) else ""
        lines.append(f"{_images(plan.num_vanished)} not there any more, labels kept: {named}{more}")
        if plan.num_pending > plan.num_changed:
            lines.append(
                "A photograph that moved has a new id, and is labelled anew: a list that states "
                "the old ids keeps the labels (docs/resuming.md)"
            )
    return lines


def _kept(number: int) -> str:
    from redepth.store.kept import kept_words  # brings in pandas, which few commands need

    return kept_words(number)


def _compared_words(found: PhotographCheck | None) -> str:
    if found is None:
        return "not compared with those that were labelled; --photographs reads them"
    others = [f"{number} {summary}" for summary, number in found.others.items()]
    return ", ".join([f"{found.num_same} as they were labelled", *others])


def _outcome_table(outcomes: Mapping[Outcome, int]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("outcome")
    table.add_column("images", justify="right")
    for outcome in Outcome:
        colour = _COLOURS[outcome] if outcomes[outcome] else "dim"
        table.add_row(f"[{colour}]{outcome.words}", f"[{colour}]{outcomes[outcome]}")
    return table


def _cost_words(recipe: Recipe, estimate: CostEstimate | None, *, at_most: bool) -> str:
    if estimate is None:
        return (
            "unknown: no label here yet to measure, no run of this recipe before, no "
            "run.cost.seconds_per_image, and no card whose limits are known (run.cost.device)"
        )
    price = ""
    if estimate.price is not None:
        price = f", {estimate.price:,.2f} {recipe.run.cost.currency}"
    limit = "at most " if at_most else ""
    return f"{limit}{estimate.actor_hours:,.2f} actor hours{price} ({estimate.basis})"


def _time_lines(recipe: Recipe, estimate: CostEstimate | None) -> list[str]:
    """Say how long it takes on several GPUs, or with several actors where it needs none."""
    if estimate is None:
        return []
    gpus = recipe.run.actors.num_gpus
    machines, actors_each = ("GPU", 1 / gpus) if gpus else ("actor", 1.0)
    times = [
        f"{_hours(estimate.actor_hours / actors_each / number)} on {_count(number, machines)}"
        for number in SCALES
    ]
    return [f"{', '.join(times)}; the price is the same, start-up not counted"]


def _hours(hours: float) -> str:
    """Return hours in the unit that a person would take."""
    if hours >= 48:
        return f"{hours / 24:,.1f} days"
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.2g} min"


def _print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns; a path is never wrapped, so that it can be copied."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        out.print(f"[dim]{_plain(name.ljust(width))}[/]  {_plain(value)}")


def _plain(text: str) -> str:
    """Return text as one line that markup takes for letters."""
    return escape(one_line(text))


def _images(number: int) -> str:
    return _count(number, "image")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
