"""Cost against expected gain: what a budget takes and brings, and where the seconds come from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from redepth.config import Recipe, load_recipe
from redepth.costing import estimate as estimating
from redepth.costing.budgets import BudgetTable, budget_table
from redepth.costing.last_runs import remember_run
from redepth.errors import ConfigError
from redepth.refiners.triage import FILE, SHARES
from tests.refiners import cascade_samples as samples


@pytest.fixture(autouse=True)
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("REDEPTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(estimating, "local_card", lambda: None)
    with samples.registered():
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return samples.write_triage(tmp_path / "student")


def recipe(folder: Path, budget: object = "3%", **cost: object) -> Recipe:
    labels = samples.cascade_settings(folder, budget, compute={"device": "auto"})
    run = {"cost": {"price_per_actor_hour": 3.6, **cost}}
    return Recipe.model_validate({"name": "both", "labels": labels, "run": run})


def table(of: Recipe, number: int = 1000) -> BudgetTable:
    found = budget_table(number, of)
    assert found is not None
    return found


def alone(of: Recipe, which: str) -> str:
    """Return the digest of the recipe with one of its two methods."""
    inner = getattr(of.labels.refiner, which)
    return of.labels.model_copy(update={"refiner": inner}).digest()


def test_a_budget_costs_the_cheap_method_for_all_and_the_other_for_its_share(folder: Path) -> None:
    wanted = recipe(folder)
    remember_run(alone(wanted, "cheap"), "cuda: NVIDIA L4", 0.5, 50)
    remember_run(alone(wanted, "expensive"), "cuda: NVIDIA L4", 100.0, 50)
    lines = {line.share: line for line in table(wanted).lines}
    assert tuple(lines) == SHARES
    seconds = {share: line.seconds for share, line in lines.items()}
    assert seconds == pytest.approx({0: 0.5, 0.01: 1.5, 0.03: 3.5, 0.1: 10.5, 0.3: 30.5, 1: 100.5})
    assert lines[0.1].actor_hours == pytest.approx(1000 * 10.5 / 3600)
    assert lines[0.1].price == pytest.approx(10.5)
    assert [line.share for line in lines.values() if line.is_own] == [0.03]
    own = table(wanted).estimate
    assert own is not None and own.actor_hours == pytest.approx(1000 * 3.5 / 3600)
    gains = [line.expected_gain for line in lines.values()]
    assert gains == sorted(gains)
    assert gains[0] == 0.0 and gains[-1] == pytest.approx(1.0)
    assert lines[0.1].expected_gain == pytest.approx(1 - 0.9**2), "sum of the ten highest of 100"


def test_a_budget_between_the_usual_ones_has_a_line_of_its_own(folder: Path) -> None:
    lines = table(recipe(folder, "5%")).lines
    assert [line.share for line in lines] == [0.0, 0.01, 0.03, 0.05, 0.1, 0.3, 1.0]
    assert [line.is_own for line in lines].index(True) == 3


def test_the_teachers_own_run_tells_what_the_expensive_method_takes(folder: Path) -> None:
    wanted = recipe(folder)
    remember_run(alone(wanted, "cheap"), "cpu", 0.5, 50)
    remember_run(samples.TEACHER.digest, "cpu", 80.0, 50)
    found = table(wanted)
    assert found.expensive_basis is not None and found.expensive_basis.seconds == 80.0
    remember_run(alone(wanted, "expensive"), "cpu", 90.0, 50)
    found = table(wanted)
    assert found.expensive_basis is not None and found.expensive_basis.seconds == 90.0


def test_without_seconds_there_still_are_gains(folder: Path) -> None:
    found = table(recipe(folder))
    assert (found.cheap_basis, found.expensive_basis, found.num_held_out) == (None, None, 100)
    assert {(line.seconds, line.actor_hours, line.price) for line in found.lines} == {
        (None, None, None)
    }
    assert found.estimate is None


def test_flops_are_the_last_resort(folder: Path) -> None:
    found = table(recipe(folder, device="NVIDIA H200"))
    assert found.cheap_basis is not None and found.expensive_basis is not None
    assert "no measurement" in found.cheap_basis.words
    assert found.expensive_basis.seconds > found.cheap_basis.seconds


def test_a_recipe_with_one_method_has_no_budgets() -> None:
    assert budget_table(10, load_recipe("coarse")) is None


def test_a_plan_without_the_triage_says_so(folder: Path) -> None:
    (folder / FILE).unlink()
    with pytest.raises(ConfigError, match=r"has no triage\.json"):
        budget_table(10, recipe(folder))
