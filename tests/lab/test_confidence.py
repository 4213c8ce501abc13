"""The fit finds what was put in, and the report says so."""

from __future__ import annotations

import numpy as np
import pytest

from redepth.confidence.mapping import ConfidenceMapping
from redepth.lab.confidence import fit_confidence, probability, report_confidence
from redepth.lab.measurement import LAB_CUES, PixelCues, pixel_cues
from redepth.types import RefinedDepth
from tests.lab.lab_samples import cues

INFORMED = [cues(seed, spread_knows=1.0) for seed in range(12)]
IGNORANT = [cues(seed, spread_knows=0.0) for seed in range(12)]


def test_a_spread_that_knows_gets_weight_and_one_that_does_not_gets_none() -> None:
    informed = fit_confidence(INFORMED, ("spread",), within=1.05)
    ignorant = fit_confidence(IGNORANT, ("spread",), within=1.05)
    assert informed.weights()["spread"] < -1.0
    assert abs(ignorant.weights()["spread"]) < 0.1


def test_the_fit_is_calibrated_on_images_it_has_not_seen() -> None:
    report = report_confidence(INFORMED[:6], INFORMED[6:])
    assert report is not None
    assert all(fit.reliability.ece < 0.05 for fit in report.fits)


def test_an_order_that_knows_beats_the_slope_and_one_that_does_not_is_random() -> None:
    report = report_confidence(INFORMED[:6], INFORMED[6:])
    assert report is not None
    by_name = {ranking.name: ranking for ranking in report.rankings}
    spread, slope = by_name["spread"], by_name["slope"]
    assert spread.ause < 0.6 < slope.ause
    assert slope.ause == pytest.approx(1.0, abs=0.1)
    assert spread.against_slope is not None
    assert spread.against_slope.improved


def test_probability_is_the_formula_it_states() -> None:
    mapping = ConfidenceMapping.model_validate({"within": 1.05, "intercept": -2.0, "spread": -1.0})
    values = np.array([np.exp(-2.0), 0.0], dtype=np.float32)
    found = probability(PixelCues(dict.fromkeys(LAB_CUES, values), values, values), mapping)
    assert found[0] == pytest.approx(0.5, abs=1e-6)
    assert 0.5 < found[1] <= 1.0


def test_where_every_pixel_is_right_the_fit_is_finite() -> None:
    fit = fit_confidence(INFORMED, ("spread",), within=1e6)
    assert np.isfinite([fit.intercept, *fit.weights().values()]).all()
    assert probability(INFORMED[0], fit).min() > 0.99


def test_without_images_there_is_no_report() -> None:
    assert report_confidence([], INFORMED) is None
    assert report_confidence(INFORMED, []) is None


def test_cues_do_not_change_with_scale_and_shift_of_the_map() -> None:
    rng = np.random.default_rng(0)
    map_hw, spread_hw, coarse_hw, truth_hw = rng.uniform(1.0, 2.0, (4, 24, 24)).astype(np.float32)
    depth_hw = truth_hw.astype(np.float64) * 1.1

    def found(scale: float) -> dict[str, np.ndarray]:
        refined = RefinedDepth(
            scale * map_hw + np.float32(3.0), scale * spread_hw, spread_hw, num_members=2
        )
        return pixel_cues(refined, coarse_hw, depth_hw, truth_hw).cues

    for cue in LAB_CUES:
        assert np.allclose(found(1.0)[cue], found(8.0)[cue], rtol=1e-3, atol=1e-5)


def test_errors_are_those_of_the_aligned_depth() -> None:
    map_hw, spread_hw, confidence_hw = np.random.default_rng(0).random((3, 8, 8), np.float32)
    refined = RefinedDepth(map_hw, spread_hw, confidence_hw, 2)
    truth_hw = np.full((8, 8), 2.0, dtype=np.float32)
    depth_hw = np.full((8, 8), 1.6)
    depth_hw[0, 0] = -1.0
    found = pixel_cues(refined, refined.map_hw, depth_hw, truth_hw)
    assert found.error_n[1:] == pytest.approx(0.2)
    assert found.factor_n[1:] == pytest.approx(1.25)
    assert np.isinf(found.factor_n[0])
