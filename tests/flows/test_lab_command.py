"""`redepth lab`: what it costs is counted rightly, and one small run writes everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.run_lab import FULL_RUN, LabOptions, _num_refinements, lab_settings, run_lab
from redepth.errors import ConfigError
from redepth.lab.experiments import CANONICAL, RELIEFS, Condition, Subject
from redepth.refiners.redepth_anything import ReDepthAnything
from redepth.scenes.scene import Split

SEEDED = (
    "labels.coarse.size_px=32",
    "labels.coarse.weights.seed=0",
    "labels.refiner.prior.weights.seed=1",
)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (CANONICAL.conditions, 4),
        (RELIEFS.conditions, 3),
        ((*CANONICAL.conditions, Condition.ENSEMBLE), 6),
        ((Condition.ENSEMBLE,), 3),
        ((Condition.COARSE, Condition.SMOOTHNESS_ONLY, Condition.FAMILY_MEAN), 0),
    ],
)
def test_only_what_asks_the_prior_is_counted(
    conditions: tuple[Condition, ...], expected: int
) -> None:
    assert _num_refinements(Subject("faces", 0, Split.HELD_OUT, conditions, 3)) == expected


def test_the_runs_steps_and_members_win_over_the_recipes() -> None:
    settings = lab_settings("mini", SEEDED, FULL_RUN)
    assert isinstance(settings.refiner, ReDepthAnything)
    assert settings.refiner.num_steps == FULL_RUN.num_steps
    assert settings.compute.device == "cpu"


def test_a_recipe_that_does_not_refine_is_refused() -> None:
    with pytest.raises(ConfigError, match="identity"):
        lab_settings("mini-coarse", (), FULL_RUN)


def test_an_unknown_group_is_named() -> None:
    found = CliRunner().invoke(app, ["lab", "--group", "cats"])
    assert isinstance(found.exception, ConfigError)
    assert "cats" in str(found.exception)


@pytest.mark.slow
def test_a_small_run_writes_page_figures_and_pictures(tmp_path: Path) -> None:
    options = LabOptions(count=2, num_tuning=2, num_members=2, num_steps=2)
    run_lab(tmp_path, (), options, "mini", SEEDED)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"report.md", "results.json", "changes.png", "reliability.png"} <= names
    assert "before_after_objects.png" in names
    assert "UNTRAINED" in (tmp_path / "report.md").read_text(encoding="utf-8")
    images = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["images"]
    assert {image["split"] for image in images} == {"held-out", "tuning"}
