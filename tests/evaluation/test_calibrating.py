"""A mapping that is fitted on one half of the images is worth something on the other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from redepth.confidence.files import read_mapping
from redepth.confidence.mapping import ConfidenceMapping, Guarantee
from redepth.confidence.probability import confidence_by_cues
from redepth.config import load_recipe
from redepth.distillation.recipes import as_yaml
from redepth.errors import ConfigError
from redepth.evaluation.calibrate import (
    CalibrationSettings,
    calibrate,
    calibrated_values,
    mapping_json,
)
from redepth.evaluation.evaluate import EvaluationInput, ImageScores, PixelSample, score_labels
from redepth.metrics.alignments import Alignment
from redepth.store.reader import open_labels
from tests.evaluation.evaluation_samples import planted_label, write_output, write_truth

SPREAD = CalibrationSettings(1.05, ("spread",), products=False)
ALL = ("spread", "slope", "drift")


def cues_like(spread: np.ndarray) -> dict[str, np.ndarray]:
    return {cue: spread if cue == "spread" else np.ones_like(spread) for cue in ALL}


def sample_of(confidence: np.ndarray, spread: np.ndarray, ratio: np.ndarray) -> PixelSample:
    return PixelSample(
        confidence, cues_like(spread), ratio, ratio - 1, np.log(ratio), np.ones_like(ratio)
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageScores, ...]:
    folder = tmp_path_factory.mktemp("calibrated")
    seeds = {f"image-{seed}": seed for seed in range(8)}
    url = write_output(folder / "labels", [planted_label(i, seed) for i, seed in seeds.items()])
    labels, pairing = EvaluationInput(
        url, write_truth(folder / "truth", seeds), "tum", partial=False
    ).open()
    return score_labels(labels, pairing, "tum", Alignment.REDEPTH, cues=ALL).images


def test_the_mapping_is_better_calibrated_than_the_stored_confidence(
    images: tuple[ImageScores, ...],
) -> None:
    found = calibrate(images, SPREAD)
    assert (found.num_fitted, found.num_held_out) == (4, 4)
    assert found.before is not None
    assert found.after.ece < 0.7 * found.before.ece
    assert found.mapping.weights()["spread"] < 0, "a larger spread is less sure"
    assert found.before.share_right == found.after.share_right
    assert found.warnings == ()


def test_a_mapping_that_is_worth_nothing_says_so(images: tuple[ImageScores, ...]) -> None:
    rng = np.random.default_rng(0)
    misled = []
    for image in images:
        spread = rng.uniform(0.01, 1.0, 500).astype(np.float32)
        right = rng.random(500) < spread
        ratio = np.where(right, 1.0, 2.0).astype(np.float32)
        misled.append(replace(image, pixels=sample_of(spread, spread, ratio)))
    found = calibrate(misled, replace(SPREAD, within=1.25))
    assert "surer" in found.warnings[0]
    assert "no better" in found.warnings[-1]


def test_it_is_judged_on_images_that_it_was_not_fitted_on(
    images: tuple[ImageScores, ...],
) -> None:
    ordered = sorted(images, key=lambda image: hashlib.sha256(image.id.encode()).digest())
    spread = np.linspace(0.01, 1.0, 500, dtype=np.float32)
    turned = []
    for number, image in enumerate(ordered):
        right = spread < 0.5 if number % 2 == 0 else spread >= 0.5
        ratio = np.where(right, 1.0, 2.0).astype(np.float32)
        turned.append(replace(image, pixels=sample_of(1.0 - spread, spread, ratio)))
    assert calibrate(turned, replace(SPREAD, within=1.25)).after.ece > 0.8


def test_the_halves_do_not_depend_on_the_order(images: tuple[ImageScores, ...]) -> None:
    one, other = (calibrate(i, SPREAD) for i in (images, images[::-1]))
    assert one == other


def test_images_without_confidence_take_no_part(images: tuple[ImageScores, ...]) -> None:
    bare = [replace(image, pixels=None) for image in images[1:]]
    with pytest.raises(ConfigError, match="1 of 8"):
        calibrate([images[0], *bare], SPREAD)


def test_a_planted_mapping_is_found_again(images: tuple[ImageScores, ...]) -> None:
    planted = ConfidenceMapping.model_validate({"within": 1.25, "intercept": -2.0, "spread": -1.0})
    rng = np.random.default_rng(0)
    drawn = []
    for image in images:
        spread = rng.uniform(0.01, 1.0, 5000).astype(np.float32)
        right = rng.random(5000) < confidence_by_cues(cues_like(spread), planted)
        ratio = np.where(right, 1.1, 1.5).astype(np.float32)
        drawn.append(replace(image, pixels=sample_of(np.exp(-spread), spread, ratio)))
    found = calibrate(drawn, replace(SPREAD, within=1.25)).mapping
    assert (found.intercept, found.weights()["spread"]) == pytest.approx((-2.0, -1.0), abs=0.15)


def test_a_mapping_looks_at_the_cues_that_were_asked_for(
    images: tuple[ImageScores, ...],
) -> None:
    assert calibrate(images, SPREAD).mapping.cues() == ("spread",)
    both = calibrate(images, replace(SPREAD, cues=("slope", "spread"))).mapping.weights()
    assert set(both) == {"slope", "spread"}
    assert both["spread"] < 0.0
    products = calibrate(images, replace(SPREAD, cues=("slope", "spread"), products=True)).mapping
    assert set(products.weights()) == {
        "slope", "spread", "slope*slope", "slope*spread", "spread*spread",
    }  # fmt: skip


def test_a_mapping_fits_into_a_recipe(images: tuple[ImageScores, ...], tmp_path: Path) -> None:
    found = calibrate(images, SPREAD)
    path = tmp_path / "mapping.json"
    path.write_text(mapping_json(found, "mini", "digest", [Alignment.REDEPTH]), encoding="utf-8")
    assert read_mapping(path).mapping == found.mapping
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["fitted_on"] == {
        "recipe": "mini",
        "digest": "digest",
        "alignment": ["redepth"],
        "images": 4,
        "held_out": 4,
    }
    values = content["confidence_mapping"]
    settings = [f"labels.ensemble.confidence_mapping={json.dumps(values)}"]
    assert load_recipe("mini", settings).labels.ensemble.confidence_mapping == found.mapping


def planted(images: tuple[ImageScores, ...], num: int) -> list[ImageScores]:
    """Return images whose errors have the size of their spread, each image with a factor."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(num):
        spread = rng.uniform(0.01, 1.0, 400).astype(np.float32)
        error = (rng.exponential(spread) * rng.uniform(0.5, 1.5)).astype(np.float32)
        pixels = replace(sample_of(spread, spread, np.exp(error)), error_n=error)
        made.append(replace(images[0], id=f"planted-{number}", pixels=pixels))
    return made


@pytest.mark.parametrize("guarantee", ["pixels", "images", "deciles"])
def test_intervals_hold_on_images_that_they_have_not_seen(
    images: tuple[ImageScores, ...], guarantee: Guarantee
) -> None:
    found = calibrate(planted(images, 240), replace(SPREAD, guarantee=guarantee))
    assert found.intervals is not None
    assert len(found.intervals.factors) == (10 if guarantee == "deciles" else 1)
    wider = 0.04 if guarantee == "images" else 0.0  # nine of ten images, not nine of ten pixels
    assert found.coverage == pytest.approx(0.9 + wider, abs=0.04)


def test_the_expected_error_follows_the_cue(images: tuple[ImageScores, ...]) -> None:
    found = calibrate(planted(images, 60), SPREAD).intervals
    assert found is not None
    assert found.error.weights()["spread"] == pytest.approx(0.8, abs=0.2)


def test_a_cue_that_says_nothing_gives_every_pixel_the_same(
    images: tuple[ImageScores, ...],
) -> None:
    found = calibrate(planted(images, 40), replace(SPREAD, cues=("drift",)))
    assert len(found.after.bins) == 1


def test_too_few_images_promise_nothing(images: tuple[ImageScores, ...]) -> None:
    assert calibrate(images, SPREAD).intervals is None


def test_the_recipe_that_is_written_is_the_one_of_the_labels_with_both(
    images: tuple[ImageScores, ...], tmp_path: Path
) -> None:
    found = calibrate(planted(images, 60), SPREAD)
    labels = open_labels(write_output(tmp_path / "labels", [planted_label("a", 0)]))
    path = tmp_path / "calibrated.yaml"
    path.write_bytes(as_yaml(calibrated_values(labels.dataset, found), "a comment"))
    ensemble = load_recipe(str(path)).labels.ensemble
    assert (ensemble.confidence_mapping, ensemble.intervals) == (found.mapping, found.intervals)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"confidence_mapping": {"within": 1}}'])
def test_what_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "mapping.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="calibrate"):
        read_mapping(tmp_path / "mapping.json")
