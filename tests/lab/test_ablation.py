"""The ablation: what a variant changes, what it costs, and what it keeps of the full gain."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.ablation import FULL, Results, parse_scenes, parse_variant, table
from redepth.config import load_recipe
from redepth.errors import ConfigError
from redepth.lab.ablation import AblationBench, Cost, Trial, Variant, change, kept_gain, mean_steps
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.scenes.scene import Split

QUICK = ("num_steps=2", "prior.weights.seed=1")
COARSE = {"abs_rel": 0.02, "normal_deg": 10.0, "edge_f1": 0.5}


def trial(seed: int, abs_rel: float | None, variant: str = "", num_steps: int = 60) -> Trial:
    refined = None if abs_rel is None else {**COARSE, "abs_rel": abs_rel}
    return Trial(variant, "faces", seed, COARSE, refined, num_steps)


FULL_TRIALS = [trial(0, 0.01), trial(1, 0.018)]


@pytest.fixture(scope="module")
def bench() -> AblationBench:
    return AblationBench("mini", Variant("quick", QUICK))


def test_a_variant_changes_the_refiner_and_takes_one_member() -> None:
    refiner = Variant("short", ("num_steps=20",)).settings("mini").refiner.model_dump()
    own = load_recipe("mini").labels.refiner.model_dump()
    assert refiner == {**own, "num_steps": 20, "num_members": 1}


@pytest.mark.parametrize(
    ("recipe", "encoder"), [("mini", "mini-tiny"), ("redepth-anything", "taesd")]
)
def test_the_tiny_encoder_is_that_of_the_recipes_prior(recipe: str, encoder: str) -> None:
    refiner = Variant("tiny", tiny_encoder=True).settings(recipe).refiner
    assert isinstance(refiner, ReDepthAnything)
    assert refiner.prior.encoder == encoder


def test_a_trial_is_a_function_of_variant_and_scene(bench: AblationBench) -> None:
    first = bench.measure("faces", 3, Split.TUNING)
    assert (first.variant, first.family, first.seed, first.num_steps) == ("quick", "faces", 3, 2)
    assert first.refined is not None
    assert first.refined["abs_rel"] != first.coarse["abs_rel"]
    assert bench.measure("faces", 3, Split.TUNING) == first
    assert bench.measure("faces", 4, Split.TUNING).refined != first.refined


def test_a_cost_counts_the_step_that_is_measured_and_the_one_at_full_size() -> None:
    """The mini VAE's encoder costs 0.39 GFLOP a step, the full one's 2.25 TFLOP; tiny ones less."""
    variants = (Variant("own", QUICK), Variant("tiny", QUICK, tiny_encoder=True))
    own, tiny = (AblationBench("mini", variant).cost(1) for variant in variants)
    assert own.flops - tiny.flops == pytest.approx(0.317e9, rel=0.01)
    assert own.flops_full_size - tiny.flops_full_size == pytest.approx(2.0e12, rel=0.01)
    assert own.cpu_seconds > 0


def test_another_method_is_refused() -> None:
    with pytest.raises(ConfigError, match="redepth_anything"):
        AblationBench("betterdepth-mini", Variant("own"))


def test_the_kept_gain_is_over_scenes_that_both_have() -> None:
    found = kept_gain([trial(0, 0.011), trial(1, 0.019), trial(2, 0.0)], FULL_TRIALS)
    assert found is not None
    assert found.ratio == pytest.approx((0.009 + 0.001) / (0.010 + 0.002))


def test_a_refinement_that_failed_keeps_nothing() -> None:
    found = kept_gain([trial(0, 0.01), trial(1, None)], FULL_TRIALS)
    assert found is not None
    assert found.ratio == pytest.approx(0.010 / 0.012)


def test_without_a_gain_there_is_nothing_to_keep() -> None:
    assert kept_gain(FULL_TRIALS, [trial(0, 0.03)]) is None


def test_changes_and_steps_are_means_over_scenes() -> None:
    trials = [trial(0, 0.01, num_steps=20), trial(1, 0.02, num_steps=40)]
    found = change(trials, "abs_rel")
    assert found is not None
    assert found.change == pytest.approx(-0.25)
    assert mean_steps(trials) == 30
    assert change([trial(0, None)], "abs_rel") is None


def test_results_are_kept_and_go_on(tmp_path: Path) -> None:
    """What is read back makes the same table, a figure that does not exist among it."""
    short = Variant("20 steps", ("num_steps=20",))
    without_edges = replace(FULL_TRIALS[0], coarse={**COARSE, "edge_f1": float("nan")})
    first = Results(tmp_path / "trials.jsonl")
    for one in (without_edges, FULL_TRIALS[1]):
        first.add_trial(one)
        first.add_trial(replace(one, variant="num_steps=20", num_steps=20))
    first.add_cost(FULL, Cost(2e9, 4e12, 0.1))
    first.add_cost(short, Cost(1e9, 1e12, 0.1))
    again = Results(tmp_path / "trials.jsonl")
    scenes = [("faces", 0), ("faces", 1)]
    row = table(again, [short], scenes).splitlines()[-1]
    assert row == table(first, [short], scenes).splitlines()[-1]
    assert "| -30.0% [" in row
    assert "| 100% [100%, 100%] | 20.0 | 20.0 | 0.17 | 2.00 | 0.33 | 0.08 |" in row


def test_variants_and_scenes_are_read_from_the_command_line() -> None:
    assert parse_variant("full") is FULL
    written = parse_variant("short: num_steps=20 tiny_encoder token_learning_rate=0.006")
    assert written == Variant("short", ("num_steps=20", "token_learning_rate=0.006"), True)
    with pytest.raises(argparse.ArgumentTypeError, match="known: full"):
        parse_variant("short")
    assert parse_scenes("coins=2") == [("coins", 0), ("coins", 1)]
