"""A mapping that is fitted on one half of the images is worth something on the other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from redepth.config import ConfidenceMapping, load_recipe
from redepth.errors import ConfigError
from redepth.evaluation.calibrate import calibrate, mapping_json, read_mapping
from redepth.evaluation.evaluate import EvaluationInput, ImageScores, PixelSample, score_labels
from redepth.labelling.confidence import Cue, confidence_by_cues
from redepth.metrics.alignments import Alignment
from tests.evaluation.evaluation_samples import planted_label, write_output, write_truth


def cues_like(spread: np.ndarray) -> dict[Cue, np.ndarray]:
    return {cue: spread if cue is Cue.SPREAD else np.ones_like(spread) for cue in Cue}


def sample_of(confidence: np.ndarray, spread: np.ndarray, ratio: np.ndarray) -> PixelSample:
    return PixelSample(confidence, cues_like(spread), ratio)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageScores, ...]:
    folder = tmp_path_factory.mktemp("calibrated")
    seeds = {f"image-{seed}": seed for seed in range(8)}
    url = write_output(folder / "labels", [planted_label(i, seed) for i, seed in seeds.items()])
    labels, pairing = EvaluationInput(
        url, write_truth(folder / "truth", seeds), "tum", partial=False
    ).open()
    return score_labels(labels, pairing, "tum", Alignment.REDEPTH).images


def test_the_mapping_is_better_calibrated_than_the_stored_confidence(
    images: tuple[ImageScores, ...],
) -> None:
    found = calibrate(images, 1.05)
    assert (found.num_fitted, found.num_held_out) == (4, 4)
    assert found.after.ece < 0.7 * found.before.ece
    assert found.mapping.spread < 0, "a larger spread is less sure"
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
    found = calibrate(misled, 1.25)
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
    assert calibrate(turned, 1.25).after.ece > 0.8


def test_the_halves_do_not_depend_on_the_order(images: tuple[ImageScores, ...]) -> None:
    one, other = (calibrate(i, 1.05) for i in (images, images[::-1]))
    assert one == other


def test_images_without_confidence_take_no_part(images: tuple[ImageScores, ...]) -> None:
    bare = [replace(image, pixels=None) for image in images[1:]]
    with pytest.raises(ConfigError, match="1 of 8"):
        calibrate([images[0], *bare], 1.25)


def test_a_planted_mapping_is_found_again(images: tuple[ImageScores, ...]) -> None:
    planted = ConfidenceMapping(within=1.25, intercept=-2.0, spread=-1.0)
    rng = np.random.default_rng(0)
    drawn = []
    for image in images:
        spread = rng.uniform(0.01, 1.0, 5000).astype(np.float32)
        right = rng.random(5000) < confidence_by_cues(cues_like(spread), planted)
        ratio = np.where(right, 1.1, 1.5).astype(np.float32)
        drawn.append(replace(image, pixels=sample_of(np.exp(-spread), spread, ratio)))
    found = calibrate(drawn, 1.25).mapping
    assert (found.intercept, found.spread) == pytest.approx((-2.0, -1.0), abs=0.15)


def test_the_cues_that_were_not_asked_for_have_no_weight(
    images: tuple[ImageScores, ...],
) -> None:
    assert calibrate(images, 1.05).mapping.slope == 0.0
    both = calibrate(images, 1.05, (Cue.SLOPE, Cue.SPREAD)).mapping
    assert both.slope != 0.0
    assert both.spread < 0.0
    assert both.drift == 0.0


def test_a_mapping_fits_into_a_recipe(images: tuple[ImageScores, ...], tmp_path: Path) -> None:
    mapping = calibrate(images, 1.05).mapping
    path = tmp_path / "mapping.json"
    path.write_text(mapping_json(mapping, "mini", "digest", [Alignment.REDEPTH]), encoding="utf-8")
    assert read_mapping(path) == mapping
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["fitted_on"] == {
        "recipe": "mini",
        "digest": "digest",
        "alignment": ["redepth"],
    }
    values = content["confidence_mapping"]
    settings = [f"labels.ensemble.confidence_mapping.{k}={v}" for k, v in values.items()]
    assert load_recipe("mini", settings).labels.ensemble.confidence_mapping == mapping


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"confidence_mapping": {"within": 1}}'])
def test_what_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "mapping.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="calibrate"):
        read_mapping(tmp_path / "mapping.json")
