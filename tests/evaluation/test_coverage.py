"""Coverage of intervals, and the error that is left of the surest pixels, against planted ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from redepth.confidence.files import FittedConfidence
from redepth.confidence.mapping import ConfidenceMapping, Intervals
from redepth.datasets.ground_truth import make_ground_truth
from redepth.evaluation.coverage import coverage_of, coverage_words, kept_rows
from redepth.evaluation.evaluate import (
    BoundsSample,
    EvaluationInput,
    ImageScores,
    LabelScores,
    score_labels,
)
from redepth.evaluation.own_numbers import error_in_own_numbers, truth_in_own_numbers
from redepth.evaluation.tables import as_json, as_markdown
from redepth.evaluation.writing import write_scores
from redepth.types import DepthKind
from tests.evaluation.evaluation_samples import planted_label, true_depth, write_output, write_truth

SEEDS = {f"image-{seed}": seed for seed in range(4)}


def scores_with(folder: Path, factor: float) -> LabelScores:
    """Score labels whose interval is `factor` times 10 % of their range."""
    url = write_output(folder / "labels", [planted_label(i, seed) for i, seed in SEEDS.items()])
    labels, pairing = EvaluationInput(url, write_truth(folder / "truth", SEEDS), "tum").open()
    own = {
        "guarantee": "pixels",
        "is_metric": False,
        "error": {"intercept": np.log(0.1)},
        "factors": [factor],
        "num_images": 20,
        "calibration_cues": {"far": [5.0, 6.0]},
    }
    mapping = {"within": 1.05, "intercept": 0.0, "spread": -1.0}
    fitted = FittedConfidence(
        ConfidenceMapping.model_validate(mapping), Intervals.model_validate(own)
    )
    return score_labels(labels.calibrated(fitted), pairing, "tum")


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> LabelScores:
    return scores_with(tmp_path_factory.mktemp("covered"), 1.0)


def test_wider_intervals_hold_more(scores: LabelScores, tmp_path: Path) -> None:
    found = coverage_of(scores.images, scores.promised)
    assert found is not None
    assert found.promised == 0.9
    assert 0.5 < found.whole.coverage < 0.99
    assert found.whole.width == pytest.approx(0.2, rel=1e-3)
    wide = scores_with(tmp_path, 100.0)
    whole = coverage_of(wide.images, wide.promised)
    assert whole is not None and whole.whole.coverage == 1.0 and whole.share_of_images == 1.0


def test_the_groups_are_tenths_of_the_confidence_and_fifths_of_the_depth(
    scores: LabelScores,
) -> None:
    found = coverage_of(scores.images, scores.promised)
    assert found is not None
    assert (len(found.by_confidence), len(found.by_depth)) == (10, 5)
    # The spread is what the map errs by: the surest pixels lie inside, the least sure do not.
    assert found.by_confidence[-1].coverage == 1.0
    assert found.by_confidence[0].coverage < found.whole.coverage
    assert found.by_folder == ()


def test_folders_are_told_apart(scores: LabelScores) -> None:
    moved = [
        replace(image, uri=f"/photos/{number % 2}/{image.id}.png")
        for number, image in enumerate(scores.images)
    ]
    found = coverage_of(moved, 0.9)
    assert found is not None
    assert [row.group for row in found.by_folder] == ["folder 0", "folder 1"]
    assert [row.num_images for row in found.by_folder] == [2, 2]


def test_the_name_of_a_folder_stays_letters(scores: LabelScores) -> None:
    evil = "![a](evil.png)"
    first, *others = scores.images
    moved = (replace(first, uri=f"/photos/{evil}/a.png"), *others)
    assert f"`folder {evil}`" in as_markdown(replace(scores, images=moved))


def test_pixels_without_an_interval_do_not_count(scores: LabelScores) -> None:
    def holed(image: ImageScores) -> ImageScores:
        assert image.pixels is not None and image.pixels.bounds is not None
        inside = image.pixels.bounds.is_inside_n
        bounds = BoundsSample(inside, inside, image.pixels.bounds.width_n)
        return replace(image, pixels=replace(image.pixels, bounds=bounds))

    found = coverage_of([holed(image) for image in scores.images], 0.9)
    assert found is not None and found.whole.coverage == 1.0
    assert coverage_of(scores.images, None) is None


def test_the_surest_pixels_err_less_and_the_oracle_least(scores: LabelScores) -> None:
    rows = kept_rows(scores.images)
    assert [row.share for row in rows][:4] == [1.0, 0.9, 0.8, 0.7]
    mean = float(np.mean([image.refined.abs_rel for image in scores.images]))
    assert rows[0].abs_rel == pytest.approx(mean)
    errors = [row.abs_rel for row in rows]
    assert errors == sorted(errors, reverse=True)
    assert all(row.oracle <= row.relative + 1e-9 for row in rows)


def test_tables_and_pictures_say_it(scores: LabelScores, tmp_path: Path) -> None:
    page = as_markdown(scores)
    assert "## What is left of the surest pixels" in page and "| 70% |" in page
    assert "## Intervals" in page and "intervals promise 90%" in page
    assert "unlike the images that the intervals were calibrated on: 1 of 1 cues" in page
    assert '"promised": 0.9' in as_json(scores)
    names = {path.name for path in write_scores(scores, tmp_path)}
    assert {"risk-coverage.png", "intervals.png"} <= names
    found = coverage_of(scores.images, scores.promised)
    assert found is not None and f"{found.whole.coverage:.1%}" in coverage_words(found)


@pytest.mark.parametrize("kind", DepthKind)
def test_the_truth_in_a_maps_own_numbers_is_the_map_where_it_is_right(kind: DepthKind) -> None:
    depth_hw = true_depth(0).astype(np.float32)
    maps: dict[DepthKind, np.ndarray] = {
        DepthKind.METRIC_DEPTH: depth_hw,
        DepthKind.AFFINE_DEPTH: 3 * depth_hw - 1,
        DepthKind.AFFINE_DISPARITY: 5 / depth_hw + 2,
    }
    own = maps[kind]
    truth = make_ground_truth(depth_hw, unit="m", has_edges=True)
    found_hw = truth_in_own_numbers(own, kind, truth)
    assert found_hw == pytest.approx(own, rel=1e-5)
    assert error_in_own_numbers(own, found_hw, kind).max() < 1e-5


def test_a_map_that_runs_against_the_truth_has_no_truth_of_its_own() -> None:
    depth_hw = true_depth(0).astype(np.float32)
    truth = make_ground_truth(depth_hw, unit="m", has_edges=True)
    assert np.isnan(truth_in_own_numbers(depth_hw, DepthKind.AFFINE_DISPARITY, truth)).all()


def test_metric_errors_are_ratios_and_another_unit_takes_one_scale() -> None:
    depth_hw = true_depth(0).astype(np.float32)
    metres = make_ground_truth(depth_hw, unit="m", has_edges=True)
    error_hw = error_in_own_numbers(
        1.2 * depth_hw,
        truth_in_own_numbers(1.2 * depth_hw, DepthKind.METRIC_DEPTH, metres),
        DepthKind.METRIC_DEPTH,
    )
    assert error_hw == pytest.approx(np.log(1.2), rel=1e-5)
    other = make_ground_truth(depth_hw, unit="half heights", has_edges=True)
    found_hw = truth_in_own_numbers(1.2 * depth_hw, DepthKind.METRIC_DEPTH, other)
    assert found_hw == pytest.approx(1.2 * depth_hw, rel=1e-5)
