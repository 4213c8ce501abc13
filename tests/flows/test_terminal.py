"""What is printed of names that strangers chose: their letters, and nothing that they order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest

from flows import terminal
from flows.progress_bar import progress_bar
from redepth.config import Deployment, load_recipe
from redepth.costing.budgets import BudgetLine, BudgetTable
from redepth.costing.coarse_table import CoarseLine
from redepth.costing.estimate import Basis, CostEstimate
from redepth.costing.run_speed import RunSpeed
from redepth.costing.stages import StageSeconds
from redepth.errors import ConfigError
from redepth.exports.writing import Exported
from redepth.images.noticed import Noticed, Notices
from redepth.refiners.triage import RoutingFacts, Teacher, fit_triage
from redepth.store.cleaning import Leftover
from redepth.store.dataset import Dataset, Recorded
from redepth.store.lease import Holder, LeaseState
from redepth.store.photographs import PhotographCheck
from redepth.store.planning import Plan
from redepth.store.reader import OutputSummary
from redepth.store.verification import Verification
from redepth.types import LabelRow, ModelCard, Outcome
from tasks.console import RunConsole

HOSTILE = (
    "x\x1b[31m\x1b]0;title\x07\x9b2J\u202e\ud800[/][bold red]y[/] :skull: \\\rz\nerror: forged"
)
LETTERS = "[/][bold red]y[/] :skull: \\"
OUTCOMES = dict.fromkeys(Outcome, 1)
PLAN = Plan("m", 3, 1, 2, 1, 5, OUTCOMES, num_changed=1, num_vanished=1, vanished=(HOSTILE,))
RECIPE = load_recipe("mini").model_copy(update={"name": HOSTILE, "description": HOSTILE})
RECORDED = Recorded.model_validate(RECIPE.labels.model_dump())
ROW = LabelRow(id=HOSTILE, uri=HOSTILE, outcome=Outcome.FAILED, reason=HOSTILE, caption=HOSTILE)
SPEED = RunSpeed(2, 4, 10.0, StageSeconds(30, 50.0, 30.0, 6.0, 5.0), HOSTILE, 0.5)
BUDGETS = BudgetTable(
    (
        BudgetLine(0.03, 0.312, 3.5, 12.0, 43.2, is_own=True),
        BudgetLine(1.0, 1.0, None, None, None, is_own=False),
    ),
    HOSTILE, HOSTILE, Basis(0.5, HOSTILE), None, 40,
)  # fmt: skip
CARD = ModelCard("coarse", HOSTILE, HOSTILE, None, "0" * 64, HOSTILE, non_commercial=True)


def hostile_notices() -> Notices:
    noticed = Noticed()
    noticed.fault(HOSTILE, HOSTILE)
    noticed.passed_over(HOSTILE, HOSTILE)
    return noticed.notices()


def summary() -> OutputSummary:
    dataset = Dataset(
        recipe_name=HOSTILE, recipe_digest="d", recipe={}, recorded=RECORDED, models=(CARD,),
        software={}, created=HOSTILE,
    )  # fmt: skip
    return OutputSummary(dataset, OUTCOMES, 0, hostile_notices(), speed=SPEED, methods={HOSTILE: 1})


PRINTS: dict[str, Callable[[], None]] = {
    "error": lambda: terminal.print_error(HOSTILE.replace("\n", " ")),
    "head": lambda: terminal.print_head(HOSTILE, HOSTILE, RECIPE, PLAN),
    "nothing": lambda: terminal.print_nothing_to_do(HOSTILE, PLAN),
    "plan": lambda: terminal.print_plan(HOSTILE, HOSTILE, RECIPE, PLAN, None, "redepth label"),
    "budgets": lambda: terminal.print_plan(HOSTILE, HOSTILE, RECIPE, PLAN, None, "x", BUDGETS),
    "summary": lambda: terminal.print_summary(
        HOSTILE, OUTCOMES, (CARD,), HOSTILE, HOSTILE, hostile_notices()
    ),
    "status": lambda: terminal.print_status(HOSTILE, summary(), [ROW]),
    "row": lambda: terminal.print_row(ROW, Path("a.png")),
    "export": lambda: terminal.print_export(HOSTILE, Exported(1, 1, {HOSTILE: 1})),
    "verification": lambda: terminal.print_verification(
        HOSTILE, Verification(OUTCOMES, 1, "d", (HOSTILE,), (HOSTILE,), 1)
    ),
    "photographs": lambda: terminal.print_verification(
        HOSTILE,
        Verification(OUTCOMES, 1, "d", ("coarse",), (), 0),
        PhotographCheck(1, {"changed": 2}, (HOSTILE,)),
    ),
    "leftovers": lambda: terminal.print_leftovers(
        HOSTILE, [Leftover(HOSTILE, (HOSTILE,), 1, datetime.now(UTC))], removed=False
    ),
    "removed": lambda: terminal.print_leftovers(HOSTILE, [], removed=True),
    "none left": lambda: terminal.print_leftovers(HOSTILE, [], removed=False),
    "deployed": lambda: terminal.print_deployed(HOSTILE, Deployment(photos=HOSTILE, out=HOSTILE)),
    "models": lambda: terminal.print_models(
        [CoarseLine(HOSTILE, HOSTILE, HOSTILE, 1.0, 2.0, False, HOSTILE, True)], HOSTILE
    ),
    "recipes": lambda: terminal.print_recipes({HOSTILE: HOSTILE}, HOSTILE),
}


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """Both streams, as a pipe gets them: an escape in there is not rich's own."""
    file = StringIO()
    for name in ("out", "err"):
        console = RunConsole(file=file, highlight=False, soft_wrap=True, emoji=False, width=10_000)
        monkeypatch.setattr(terminal, name, console)
    return file


@pytest.mark.parametrize("name", PRINTS)
def test_no_name_orders_the_terminal_or_forges_a_line(name: str, printed: StringIO) -> None:
    PRINTS[name]()
    said = printed.getvalue()
    said.encode()
    assert LETTERS in said
    assert not set(said) & set("\x1b\x07\x9b\r\u202e\ud800")
    assert not [line for line in said.splitlines() if line.startswith("error: forged")]


def test_what_is_printed_without_markup_is_printable_too(printed: StringIO) -> None:
    terminal.out.print(HOSTILE, markup=False)
    assert not set(printed.getvalue()) & set("\x1b\x07\x9b\r\u202e\ud800")


def test_a_bar_takes_its_words_for_letters(printed: StringIO) -> None:
    with progress_bar("[bold red]x[/]", 1) as advance:
        advance()


def test_an_error_keeps_its_lines(printed: StringIO) -> None:
    terminal.print_error(str(ConfigError("one\n  two")))
    assert printed.getvalue() == "error: one\n  two\n"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, ""),
        (1, "1 photograph was touched but has the same bytes: its label was kept."),
        (7, "7 photographs were touched but have the same bytes: their labels were kept."),
    ],
)
def test_kept_labels_are_said_at_the_end_and_in_the_status(
    printed: StringIO, number: int, words: str
) -> None:
    terminal.print_summary("labels", OUTCOMES, (), None, None, Notices(), number)
    terminal.print_status("labels", replace(summary(), num_kept=number), [])
    said = printed.getvalue()
    assert (f"\n{words}\n" in said and f"\nIn the last run, {words}\n" in said) or not number
    assert ("kept" in said) == bool(number)


@pytest.mark.parametrize("refines", [True, False])
def test_a_run_that_refines_nothing_says_so(printed: StringIO, refines: bool) -> None:
    terminal.print_summary("labels", OUTCOMES, (), None, None, Notices(), refines=refines)
    assert ("coarse map, not refined" in printed.getvalue()) != refines


@pytest.mark.parametrize(("num_pending", "is_said"), [(2, True), (1, False)])
def test_a_renamed_folder_is_met_with_what_keeps_its_labels(
    printed: StringIO, num_pending: int, is_said: bool
) -> None:
    """One photograph is gone; of those planned one has changed, so two planned bring a new one."""
    plan = replace(PLAN, num_pending=num_pending)
    terminal.print_plan("photos", "labels", RECIPE, plan, None, "redepth label")
    assert ("a list that states the old ids keeps the labels" in printed.getvalue()) == is_said


@pytest.mark.parametrize(("seconds", "words"), [(None, "nothing is known of X1"), (2.0, "on X1")])
def test_a_card_without_known_limits_is_said(
    printed: StringIO, seconds: float | None, words: str
) -> None:
    line = CoarseLine("a", "depth in metres", "1 M", 1.0, seconds, False, "MIT", False)
    terminal.print_models([line], "X1")
    assert words in printed.getvalue()


def test_the_status_says_how_busy_the_models_were_in_the_last_run(printed: StringIO) -> None:
    terminal.print_status("labels", summary(), [])
    said = printed.getvalue()
    assert "25% of the time of 2 actors; they waited for photographs 75% of it" in said
    assert "0.167 s in the models, 1 s to read and decode" in said
    assert "the models ran at 10% of what the data sheet promises" in said


def test_the_status_says_which_method_made_how_many_labels(printed: StringIO) -> None:
    methods = {"quick": 97, "thorough": 3}
    terminal.print_status("labels", replace(summary(), methods=methods), [])
    assert "\nrefined by quick 97 (97.0%), thorough 3 (3.0%)\n" in printed.getvalue()
    printed.truncate(0)
    triage = fit_triage([0.1, 0.2], [0.1, 0.2], Teacher(recipe="thorough", digest="0" * 64))
    facts = RoutingFacts(expensive="thorough", budget=0.05, threshold=0.1, triage=triage)
    card = replace(CARD, role="triage", facts=facts.model_dump(mode="json"))
    cascaded = replace(summary().dataset, models=(card,))
    terminal.print_status("labels", replace(summary(), dataset=cascaded, methods=methods), [])
    assert "thorough 3 (3.0%); the budget of thorough is 5%\n" in printed.getvalue()
    printed.truncate(0)
    terminal.print_status("labels", replace(summary(), methods={}), [])
    assert "refined by" not in printed.getvalue()


def test_a_plan_shows_cost_against_expected_gain(printed: StringIO) -> None:
    budgets = replace(BUDGETS, cheap="quick", expensive="thorough")
    terminal.print_plan("photos", "labels", load_recipe("mini"), PLAN, None, "x", budgets)
    lines = printed.getvalue().splitlines()
    (head,) = (n for n, line in enumerate(lines) if line.startswith("budget  expected"))
    assert lines[head].split() == [
        "budget",
        "expected",
        "gain",
        "s",
        "an",
        "image",
        "actor",
        "hours",
    ]
    assert lines[head + 1].split() == ["3%", "31.2%", "3.5", "12", "this", "recipe"]
    assert lines[head + 2].split() == ["100%", "100.0%", "-", "-"]
    said = printed.getvalue()
    assert "share of images for thorough beside quick, of a collection like the one" in said
    assert "seconds unknown: label some images with this method alone" in said


def test_a_plan_says_that_the_same_bytes_keep_their_label(printed: StringIO) -> None:
    estimate = CostEstimate(2.0, None, "measured")
    changed = "2 images changed since the label was made"
    compared = replace(PLAN, num_changed=2, num_if_changed=1)
    terminal.print_plan("photos", "labels", RECIPE, compared, estimate, "redepth label")
    said = printed.getvalue()
    assert f"{changed}; those whose bytes are the same keep their label" in said
    assert "at most 2.00 actor hours" in said
    printed.truncate(0)
    terminal.print_plan(
        "photos", "labels", RECIPE, replace(PLAN, num_changed=2), estimate, "redepth label"
    )
    assert f"{changed}\n" in printed.getvalue(), "run.changed: keep, or nothing had a label"
    assert "at most" not in printed.getvalue()


def test_vanished_images_are_named_without_secrets(printed: StringIO) -> None:
    plan = replace(PLAN, vanished=("https://u:CANARY@host/a.jpg?sig=CANARY",))
    terminal.print_nothing_to_do("labels", plan)
    assert "CANARY" not in printed.getvalue()


def test_a_label_that_nothing_refined_is_not_called_refined(printed: StringIO) -> None:
    row = LabelRow(id="a", uri="a.jpg", outcome=Outcome.REFINED, drift=0.0)
    terminal.print_refined(row, [])
    terminal.print_refined(replace(row, drift=0.1), [])
    first, second = printed.getvalue().splitlines()
    assert first.startswith("coarse map, not refined") and second.startswith("refined")


def test_the_status_names_the_run_that_is_at_work(printed: StringIO) -> None:
    holder = Holder.here("label photos with mini")
    terminal.print_at_work(LeaseState(holder, "2026-01-01T00:00:00", "2026-01-01T00:05:00", 60.0))
    said = printed.getvalue()
    assert "at work  label photos with mini" in said
    assert "last sign of life 2026-01-01T00:05:00" in said
