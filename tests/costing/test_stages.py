"""Where an actor's time goes: the cost of an image, how busy the models were, what to do."""

from __future__ import annotations

from typing import Any

import pytest

from redepth.config import Actors, load_recipe
from redepth.costing.run_speed import RunSpeed
from redepth.costing.stages import StageSeconds, decoders_of_actor, stages_of_row
from redepth.costing.tally import WorkTally
from redepth.flops import ImageWork
from redepth.types import LabelRow, Outcome


def row(image_id: str = "a", **values: Any) -> LabelRow:
    return LabelRow(id=image_id, uri="u", outcome=Outcome.REFINED, **values)


STAGED: dict[str, Any] = {
    "seconds": 5.0,
    "read_seconds": 3.0,
    "waited_seconds": 0.5,
    "model_seconds": 1.0,
}
# Ten images: 40 s of cores each 4 s, 10 s in the models.
TEN = StageSeconds(num_staged=10, own=50.0, read=30.0, waited=5.0, model=10.0)


@pytest.mark.parametrize(
    ("decoders", "seconds"),
    [(1, 4.0), (2, 2.0), (4, 1.0), (16, 1.0)],  # until the models are the limit
)
def test_an_image_costs_an_actor_its_slowest_stage(decoders: int, seconds: float) -> None:
    assert TEN.of_actor(decoders) == pytest.approx(seconds)


def test_rows_without_stages_cost_their_seconds() -> None:
    whole = StageSeconds(num_whole=4, whole=8.0)
    assert whole.of_actor(16) == pytest.approx(2.0)
    assert (TEN + whole).of_actor(4) == pytest.approx((10 + 8) / 14)
    assert StageSeconds().of_actor(4) is None


@pytest.mark.parametrize(("num_cpus", "number"), [(0, 1), (0.5, 1), (1, 1), (4, 4), (4.5, 5)])
def test_an_actor_decodes_a_photograph_a_core(num_cpus: float, number: int) -> None:
    assert decoders_of_actor(Actors(num_cpus=num_cpus), 3) == number


def test_decoders_of_their_own_are_shared_by_the_actors() -> None:
    assert decoders_of_actor(Actors(num_cpus=4, num_decoders=6), 4) == 1.5


def test_a_row_says_its_stages() -> None:
    assert stages_of_row(row(**STAGED)) == StageSeconds(1, 5.0, 3.0, 0.5, 1.0)
    read_alone = row(seconds=3.5, read_seconds=3.0)
    assert stages_of_row(read_alone) == StageSeconds(1, 3.5, 3.0), "a copy, or no photograph"
    assert stages_of_row(row(seconds=5.0)) == StageSeconds(num_whole=1, whole=5.0)
    assert stages_of_row(row()) == StageSeconds()
    assert stages_of_row(row(**STAGED, array_group="s-0")) == StageSeconds(), "it was kept"


def test_a_tally_counts_work_and_takes_it_back() -> None:
    tally = WorkTally()
    sized = row(**STAGED, height_px=392, width_px=518, num_steps=40, device="cpu")
    tally.add(sized)
    tally.add(sized)
    tally.add(row(**STAGED, device="cpu"))  # failed in the models: it took their time
    tally.add(row(**{**STAGED, "model_seconds": 0.0}, height_px=392, width_px=518))  # a copy
    tally.add(sized, -1)
    assert tally.images == {ImageWork(392, 518, 40): 1}
    assert tally.devices == {"cpu": 2}
    assert tally.stages.num_staged == 3
    assert tally.stages.model == pytest.approx(2.0)


def test_busy_is_model_seconds_over_the_time_of_all_actors() -> None:
    speed = RunSpeed(num_actors=2, decoders=4, seconds=10.0, stages=TEN)
    assert speed.busy_share == pytest.approx(0.5)
    assert RunSpeed(2, 4, 10.0).busy_share is None
    assert RunSpeed(2, 4, 0.0, TEN).busy_share is None, "not one image has ended"


def test_the_share_of_the_limit_is_of_the_time_that_the_models_worked() -> None:
    tally, recipe = WorkTally(), load_recipe("coarse")
    for number in range(30):
        tally.add(
            row(str(number), **STAGED, height_px=392, width_px=518, device="cuda: NVIDIA H200")
        )
    speed = tally.speed(recipe, 1, 40.0)
    # 30 forwards of 0.081 TFLOP at 494 TFLOP/s, in 30 s.
    assert speed.limit_share == pytest.approx(0.0809 / 494, rel=0.01)
    assert speed.device == "cuda: NVIDIA H200"
    words = dict(speed.facts())
    assert "75% of the time of 1 actor" in words["models busy"]
    assert "waited for photographs 25%" in words["models busy"]
    assert "1 s in the models, 3 s to read and decode" in words["an image"]
    assert "0.016% of what the data sheet promises (cuda: NVIDIA H200)" in words["FLOP limit"]


def test_two_devices_or_an_unknown_one_have_no_limit() -> None:
    tally, recipe = WorkTally(), load_recipe("coarse")
    tally.add(row(**STAGED, height_px=392, width_px=518, device="cpu"))
    assert tally.speed(recipe, 1, 4.0).limit_share is None
    tally.add(row(**STAGED, height_px=392, width_px=518, device="cuda: NVIDIA H200"))
    assert tally.speed(recipe, 1, 4.0).device is None
    assert "FLOP limit" not in dict(tally.speed(recipe, 1, 4.0).facts())


def test_the_advice_follows_what_waited() -> None:
    many = StageSeconds(num_staged=100, own=500.0, read=300.0, waited=5.0, model=40.0)
    assert (
        "60% of the time: give actors more cores (run.actors.num_cpus)"
        in RunSpeed(1, 4, 100.0, many).advice
    )
    assert "the models are the limit" in RunSpeed(1, 4, 41.0, many).advice
    assert "neither the models nor the cores" in RunSpeed(1, 4, 400.0, many).advice
    assert not RunSpeed(1, 4, 100.0, TEN).advice, "ten images say little"
    assert not list(RunSpeed(1, 4, 9.0, StageSeconds(num_whole=3, whole=9.0)).facts())
