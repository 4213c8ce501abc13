"""`redepth evaluate`, `calibrate` and `compare` on an output with planted errors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flows.calibrate_labels import Fit, calibrate_labels
from flows.cli import app
from flows.compare_labels import compare_label_sets
from redepth.confidence.files import read_mapping
from redepth.config import load_recipe
from redepth.datasets import datasets
from redepth.errors import ConfigError
from redepth.metrics.alignments import Alignment
from scripts.motorcycle_truth import write_motorcycle
from tests.evaluation.evaluation_samples import planted_label, write_output, write_truth

SEEDS = {f"image-{seed}": seed for seed in range(4)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    for name, steps in (("a", 9), ("b", 5)):
        labels = [planted_label(i, seed, refined_error=0.01 * steps) for i, seed in SEEDS.items()]
        write_output(folder / name, labels, steps=steps)
    write_truth(folder / "truth", SEEDS)
    return folder


def run(*words: object) -> str:
    """Run a command and return what it printed; raise what it raised."""
    found = CliRunner().invoke(app, [str(word) for word in words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


def test_the_help_names_every_data_set() -> None:
    group: Any = typer.main.get_command(app)
    options = {option.name: option for option in group.commands["evaluate"].params}
    named = re.findall(r"[a-z0-9-]+", options["dataset_format"].help)
    assert set(datasets.own) <= set(named)


@pytest.mark.parametrize("command", ["evaluate", "calibrate"])
def test_what_is_wrong_is_said_before_an_engine_starts(folder: Path, command: str) -> None:
    rest = ["--out", folder / "mapping.json"] if command == "calibrate" else []
    with pytest.raises(ConfigError, match="no data set format is called"):
        run(
            command,
            folder / "a",
            "--ground-truth",
            folder / "truth",
            "--dataset-format",
            "tumm",
            *rest,
        )
    with pytest.raises(ConfigError, match="no folder"):
        run(
            command,
            folder / "a",
            "--ground-truth",
            folder / "nothing",
            "--dataset-format",
            "tum",
            *rest,
        )


def test_calibrate_writes_a_mapping_and_says_what_it_is_worth(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "mapping.json"
    found = calibrate_labels(
        str(folder / "a"),
        folder / "truth",
        "tum",
        out,
        Fit(1.05, ("spread",), products=False),
        Alignment.REDEPTH,
        False,
    )
    assert read_mapping(out).mapping == found.mapping
    assert load_recipe(str(out.with_suffix(".yaml"))).name == "mini-calibrated"
    assert found.mapping.within == 1.05
    assert out.with_suffix(".png").stat().st_size > 1000
    said = capsys.readouterr().out
    assert "fitted on 2 images, tested on 2 others" in said
    assert "before: as a probability" in said
    assert "after:  as a probability" in said
    assert "no intervals: 2 images" in said


def test_calibrate_refuses_a_cue_that_it_does_not_know(folder: Path, tmp_path: Path) -> None:
    out, fit = tmp_path / "mapping.json", Fit(1.05, ("slop",))
    with pytest.raises(ConfigError, match="did you mean 'slope'"):
        calibrate_labels(str(folder / "a"), folder / "truth", "tum", out, fit, None, False)


def test_compare_prints_and_writes_the_table(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = folder / "truth"
    compare_label_sets(
        str(folder / "a"), str(folder / "b"), truth, "tum", Alignment.REDEPTH, False, tmp_path / "c"
    )
    said = capsys.readouterr().out
    assert "differs: `refiner.num_steps: 9 -> 5`" in said
    assert "## Against ground truth" in said
    content = json.loads((tmp_path / "c" / "comparison.json").read_text(encoding="utf-8"))
    assert len(content["images"]) == 4
    assert (tmp_path / "c" / "comparison.md").read_text(encoding="utf-8").strip() in said


def test_compare_measures_what_can_be_read_in_part(folder: Path, tmp_path: Path) -> None:
    truth = write_truth(tmp_path / "truth", SEEDS)
    damaged = truth / "depth" / "image-2.png"
    damaged.write_bytes(b"")
    words = ["compare", folder / "a", folder / "b", "--ground-truth", truth]
    with pytest.raises(ConfigError, match=r"image-2\.png cannot be read.*--partial"):
        run(*words, "--dataset-format", "tum")
    said = " ".join(run(*words, "--dataset-format", "tum", "--partial").split())
    assert "images left out, their ground truth cannot be read: 1 (image-2: " in said
    assert "alignment of the maps: scale_shift_disparity (default)" in said


def test_calibrate_says_alignment_and_what_was_left_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_truth(tmp_path / "truth", SEEDS)
    (truth / "depth" / "image-2.png").write_bytes(b"")
    out = tmp_path / "mapping.json"
    calibrate_labels(str(folder / "a"), truth, "tum", out, Fit(1.05, ("spread",)), None, True)
    said = " ".join(capsys.readouterr().out.split())
    assert "alignment: scale_shift_disparity (default)" in said
    assert "images left out, their ground truth cannot be read: 1 (image-2" in said
    fitted_on = json.loads(out.read_text(encoding="utf-8"))["fitted_on"]
    assert fitted_on["alignment"] == ["scale_shift_disparity"]


def test_compare_needs_no_truth(folder: Path) -> None:
    assert "rank correlation" in run("compare", folder / "a", folder / "b")


@pytest.mark.slow
def test_evaluate_prints_the_table_and_writes_every_format(folder: Path, tmp_path: Path) -> None:
    rest = [
        "--ground-truth",
        folder / "truth",
        "--dataset-format",
        "tum",
        "--out",
        tmp_path,
        "--format",
        "json",
    ]
    run("evaluate", folder / "a", *rest)
    content = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert content["scores"][0]["change"]["num_images"] == 4
    assert {path.suffix for path in tmp_path.iterdir()} == {".md", ".tex", ".json", ".png"}


@pytest.mark.slow
def test_evaluate_in_part_ends_with_1_where_that_is_asked_for(folder: Path, tmp_path: Path) -> None:
    truth = write_truth(tmp_path / "truth", SEEDS)
    (truth / "depth" / "image-2.png").write_bytes(b"")
    words = ["evaluate", folder / "a", "--ground-truth", truth, "--dataset-format", "tum"]
    said = " ".join(run(*words, "--partial").split())
    assert "images left out, their ground truth cannot be read: 1 (image-2: " in said
    found = CliRunner().invoke(app, [str(word) for word in (*words, "--partial", "--strict")])
    assert found.exit_code == 1
    assert "AbsRel" in found.output
    assert run(*words, "--partial", "--strict", "--where", "id = 'image-0'")


@pytest.mark.slow
def test_the_motorcycle_from_photograph_to_table(tmp_path: Path) -> None:
    """Label the stereo pair of scikit-image's wheel with seeded models and measure it in metres."""
    photographs, truth = write_motorcycle(tmp_path)
    labels = tmp_path / "labels"
    settings = ("labels.refiner.num_steps=2", "labels.refiner.num_members=2")
    options = [word for setting in settings for word in ("--set", setting)]
    run("label", photographs, "--out", labels, "--recipe", "mini", "--actors", "1", *options)
    run(
        "evaluate",
        labels,
        "--ground-truth",
        truth,
        "--dataset-format",
        "middlebury",
        "--out",
        tmp_path / "e",
    )
    text = (tmp_path / "e" / "evaluation.json").read_text(encoding="utf-8")
    (image,) = json.loads(text)["images"]
    assert (image["kind"], image["unit"]) == ("z-depth", "m")
    assert image["depth_range"]["lowest"] == pytest.approx(2.11, abs=0.01)
    assert image["depth_range"]["highest"] == pytest.approx(5.02, abs=0.01)
    assert 0.0 < image["refined"]["abs_rel"] < 0.4
    assert image["refined"]["normal_deg"] > 0.0
    assert 0.9 < image["num_pixels"] / (500 * 741) < 0.95
