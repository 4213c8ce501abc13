"""Confidence as a fitted probability of cues."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.config import ConfidenceMapping, Ensemble
from redepth.labelling.confidence import SMALLEST_CUE, Cue, confidence_by_cues, cues_of
from redepth.labelling.ensemble import reduce_members
from redepth.types import Members

RAMP = np.linspace(1.0, 9.0, 12 * 16).reshape(12, 16)
NOISE = np.random.default_rng(0).normal(0.0, 0.2, (3, *RAMP.shape))
MAPPING = ConfidenceMapping(within=1.05, intercept=-2.0, spread=-1.0, slope=0.5, drift=-0.25)


def test_probability_is_the_logistic_of_the_weighted_logarithms() -> None:
    cues = {cue: np.full((2, 3), value) for cue, value in zip(Cue, (0.1, 0.02, 0.3), strict=True)}
    logit = -2.0 - np.log(0.1) + 0.5 * np.log(0.02) - 0.25 * np.log(0.3)
    assert np.allclose(confidence_by_cues(cues, MAPPING), 1.0 / (1.0 + np.exp(-logit)))


def test_a_cue_of_zero_counts_as_the_smallest() -> None:
    zero = {cue: np.zeros((1, 1)) for cue in Cue}
    least = {cue: np.full((1, 1), SMALLEST_CUE) for cue in Cue}
    assert confidence_by_cues(zero, MAPPING) == confidence_by_cues(least, MAPPING)


@given(scale=st.floats(0.1, 10.0), shift=st.floats(-5.0, 5.0))
def test_cues_are_unchanged_by_scale_and_shift(scale: float, shift: float) -> None:
    spread, refined = np.abs(NOISE[0]), RAMP + NOISE[1]
    first = cues_of(spread, refined, RAMP)
    other = cues_of(scale * spread, scale * refined + shift, RAMP)
    for cue in Cue:
        assert np.allclose(first[cue], other[cue], rtol=1e-6, atol=1e-9)


def test_every_weight_of_a_mapping_has_its_cue() -> None:
    assert set(MAPPING.weights()) == {cue.value for cue in Cue}


def test_a_recipe_with_a_mapping_uses_it() -> None:
    members = Members((RAMP + NOISE).astype(np.float32))
    coarse = RAMP.astype(np.float32)
    stated = reduce_members(members, coarse, Ensemble())
    fitted = reduce_members(members, coarse, Ensemble(confidence_mapping=MAPPING))
    assert np.array_equal(stated.map_hw, fitted.map_hw)
    cues = cues_of(stated.spread_hw, stated.map_hw, coarse)
    assert np.allclose(fitted.confidence_hw, confidence_by_cues(cues, MAPPING), rtol=1e-3)


def test_a_factor_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than 1"):
        ConfidenceMapping(within=1.0, intercept=0.0)
