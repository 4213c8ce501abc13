"""What labelling would cost, and where the figure comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from redepth.config import Recipe, load_recipe
from redepth.costing import estimate as estimating
from redepth.costing import last_runs
from redepth.costing.estimate import USUAL_SHARE, CostEstimate, estimate_cost
from redepth.costing.last_runs import last_run, remember_run, remember_speed
from redepth.costing.run_speed import RunSpeed
from redepth.costing.stages import StageSeconds

NOTHING = StageSeconds()
LABELS = StageSeconds(num_staged=50, own=200.0, read=90.0, waited=7.0, model=100.0)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REDEPTH_CACHE", str(tmp_path))
    monkeypatch.setattr(estimating, "local_card", lambda: None)
    return tmp_path


def recipe(name: str = "coarse", *overrides: str) -> Recipe:
    return load_recipe(name, overrides)


def estimate(number: int, of: Recipe, here: StageSeconds = NOTHING) -> CostEstimate:
    found = estimate_cost(number, of, here)
    assert found is not None
    return found


def test_labels_that_are_there_win_over_all_else() -> None:
    wanted = recipe("coarse", "run.cost.seconds_per_image=100")
    remember_run(wanted.labels.digest(), "cpu", 50.0, 99)
    found = estimate(7200, wanted, LABELS)
    assert found.actor_hours == pytest.approx(4.0)
    assert "mean of 50 labels already there" in found.basis
    assert found.price is None


def test_the_last_run_of_the_recipe_wins_over_its_own_estimate() -> None:
    wanted = recipe("coarse", "run.cost.seconds_per_image=100")
    remember_run(wanted.labels.digest(), "cuda: NVIDIA L4", 9.0, 50)
    remember_run(recipe("metric").labels.digest(), "cuda: NVIDIA L4", 1.0, 50)
    found = estimate(1200, wanted)
    assert found.actor_hours == pytest.approx(3.0)
    assert "50 images on cuda: NVIDIA L4" in found.basis


def test_a_run_on_another_card_says_nothing_of_the_one_that_is_asked_for() -> None:
    settings = ("run.cost.seconds_per_image=100", "run.cost.device=NVIDIA H200")
    wanted = recipe("coarse", *settings)
    remember_run(wanted.labels.digest(), "cuda: NVIDIA L4", 9.0, 50)
    assert "recipe's estimate" in estimate(10, wanted).basis
    remember_run(wanted.labels.digest(), "cuda: NVIDIA H200", 3.0, 50)
    remember_run(wanted.labels.digest(), "cuda: NVIDIA L4", 9.0, 50)
    assert "cuda: NVIDIA H200" in estimate(10, wanted).basis


def test_recipes_estimate_and_price() -> None:
    cost = ("run.cost.seconds_per_image=36", "run.cost.price_per_actor_hour=2.5")
    found = estimate(1000, recipe("coarse", *cost))
    assert found.actor_hours == pytest.approx(10.0)
    assert found.price == pytest.approx(25.0)
    assert "run.cost.seconds_per_image" in found.basis


def test_flops_and_the_data_sheet_are_the_last_resort() -> None:
    found = estimate(3600, recipe("coarse", "run.cost.device=NVIDIA H200"))
    # 0.08 TFLOP in float32, at 494 TFLOP/s of TF32.
    assert found.actor_hours == pytest.approx(0.0798 / 494 / USUAL_SHARE, rel=0.01)
    assert "0.0798 TFLOP at 12% of what the data sheet of NVIDIA H200 promises" in found.basis


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("coarse", ()),  # no card here, and none named
        ("coarse", ("run.cost.device=a card of tomorrow",)),
        ("mini-coarse", ("run.cost.device=NVIDIA H200",)),  # it runs on the CPU
        ("coarse", ("run.cost.device=NVIDIA H200", "labels.coarse.preset=marigold")),
    ],
)
def test_without_anything_to_go_by_there_is_no_estimate(
    name: str, settings: tuple[str, ...]
) -> None:
    assert estimate_cost(10, recipe(name, *settings), NOTHING) is None


def test_a_run_is_remembered_in_place_of_the_one_before() -> None:
    for seconds in (3.0, 2.0):
        remember_run("a" * 64, "cpu", seconds, 20)
    run = last_run("a" * 64)
    assert run is not None
    assert run.seconds_per_image == 2.0
    assert len(last_runs._read()) == 1


def test_a_run_too_short_or_of_two_devices_is_not_remembered() -> None:
    remember_speed("a" * 64, RunSpeed(1, 1, 9.0, StageSeconds(5, 9, 3, 1, 6), "cpu"))
    remember_speed("a" * 64, RunSpeed(1, 1, 90.0, StageSeconds(50, 90, 30, 10, 60), None))
    assert last_run("a" * 64) is None
    remember_speed("a" * 64, RunSpeed(1, 1, 90.0, StageSeconds(50, 90, 30, 10, 60), "cpu"))
    run = last_run("a" * 64)
    assert run is not None
    assert run.seconds_per_image == pytest.approx(1.2)


@pytest.mark.parametrize("content", [b"", b"[{]", b'[{"device": 3}]', b"\xff"])
def test_a_damaged_file_is_as_none(cache: Path, content: bytes) -> None:
    (cache / last_runs.FILE).write_bytes(content)
    assert last_run("a" * 64) is None
    remember_run("a" * 64, "cpu", 2.0, 20)
    assert last_run("a" * 64) is not None


def test_where_nothing_can_be_written_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REDEPTH_CACHE", str(tmp_path / "file" / "below"))
    remember_run("a" * 64, "cpu", 2.0, 20)
    assert last_run("a" * 64) is None
