"""Confidence as a fitted probability of cues."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.confidence.cues import LabelMaps, cues_of
from redepth.confidence.mapping import ConfidenceMapping
from redepth.confidence.probability import SMALLEST_CUE, confidence_by_cues
from redepth.config import Ensemble
from redepth.labelling.ensemble import reduce_members
from redepth.types import DepthKind, Members

RAMP = np.linspace(1.0, 9.0, 12 * 16).reshape(12, 16)
NOISE = np.random.default_rng(0).normal(0.0, 0.2, (3, *RAMP.shape))
WEIGHTS = {"spread": -1.0, "slope": 0.5, "drift": -0.25}
MAPPING = ConfidenceMapping.model_validate({"within": 1.05, "intercept": -2.0, **WEIGHTS})


def cues_like(spread: np.ndarray, refined: np.ndarray, coarse: np.ndarray) -> dict[str, np.ndarray]:
    maps = {"spread": spread, "refined": refined, "coarse": coarse}
    return cues_of(LabelMaps(maps, DepthKind.AFFINE_DISPARITY), WEIGHTS)


def test_probability_is_the_logistic_of_the_weighted_logarithms() -> None:
    cues = {
        "spread": np.full((2, 3), 0.1),
        "slope": np.full((2, 3), 0.02),
        "drift": np.full((2, 3), 0.3),
    }
    logit = -2.0 - np.log(0.1) + 0.5 * np.log(0.02) - 0.25 * np.log(0.3)
    assert np.allclose(confidence_by_cues(cues, MAPPING), 1.0 / (1.0 + np.exp(-logit)))


def test_a_cue_of_zero_counts_as_the_smallest() -> None:
    zero = {cue: np.zeros((1, 1)) for cue in WEIGHTS}
    least = {cue: np.full((1, 1), SMALLEST_CUE) for cue in WEIGHTS}
    assert confidence_by_cues(zero, MAPPING) == confidence_by_cues(least, MAPPING)


@given(scale=st.floats(0.1, 10.0), shift=st.floats(-5.0, 5.0))
def test_cues_are_unchanged_by_scale_and_shift(scale: float, shift: float) -> None:
    spread, refined = np.abs(NOISE[0]), RAMP + NOISE[1]
    first = cues_like(spread, refined, RAMP)
    other = cues_like(scale * spread, scale * refined + shift, RAMP)
    for cue in WEIGHTS:
        assert np.allclose(first[cue], other[cue], rtol=1e-6, atol=1e-9)


def test_a_term_of_two_cues_is_the_product_of_their_logarithms() -> None:
    squared = {"within": 1.05, "intercept": 1.0, "slope*slope": 0.25, "slope*drift": -0.5}
    cues = {"slope": np.full((1, 1), 0.1), "drift": np.full((1, 1), 0.02)}
    logit = 1.0 + 0.25 * np.log(0.1) ** 2 - 0.5 * np.log(0.1) * np.log(0.02)
    found = confidence_by_cues(cues, ConfidenceMapping.model_validate(squared))
    assert found == pytest.approx(1.0 / (1.0 + np.exp(-logit)))


def test_a_cue_that_nobody_knows_is_refused_and_the_near_one_named() -> None:
    with pytest.raises(ValueError, match=r"no cue 'slpe'; did you mean 'slope'\?"):
        ConfidenceMapping.model_validate({"within": 1.05, "intercept": 1.0, "slpe*far": 1.0})


def test_a_recipe_with_a_mapping_uses_it() -> None:
    members = Members((RAMP + NOISE).astype(np.float32))
    coarse = RAMP.astype(np.float32)
    stated = reduce_members(members, coarse, Ensemble())
    fitted = reduce_members(members, coarse, Ensemble(confidence_mapping=MAPPING))
    assert np.array_equal(stated.map_hw, fitted.map_hw)
    cues = cues_like(stated.spread_hw, stated.map_hw, coarse)
    assert np.allclose(fitted.confidence_hw, confidence_by_cues(cues, MAPPING), rtol=1e-3)


def test_a_factor_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than 1"):
        ConfidenceMapping(within=1.0, intercept=0.0)
