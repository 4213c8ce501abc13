"""Align, reduce, spread, confidence and the guard, against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redepth.config import Ensemble, Guard
from redepth.labelling.confidence import confidence_by_spread
from redepth.labelling.ensemble import Verdict, align_members, guard, reduce_members
from redepth.types import FloatMap, Members

RAMP = np.linspace(1.0, 9.0, 12 * 16, dtype=np.float32).reshape(12, 16)
WIDE_RAMP = RAMP.astype(np.float64)
scales = st.floats(0.1, 10.0)
shifts = st.floats(-5.0, 5.0)


def noisy(seed: int, amount: float = 0.1) -> FloatMap:
    noise = np.random.default_rng(seed).normal(0.0, amount, RAMP.shape)
    return (RAMP + noise).astype(np.float32)


class TestReduce:
    def test_mean_is_plain_by_default(self) -> None:
        members = Members(np.stack([RAMP, 3 * RAMP]))
        assert np.allclose(reduce_members(members, RAMP, Ensemble()).map_hw, 2 * RAMP)

    def test_members_that_differ_by_scale_and_shift_have_no_spread(self) -> None:
        refined = reduce_members(
            Members(np.stack([RAMP, 2 * RAMP + 3, 5 * RAMP - 1])), RAMP, Ensemble()
        )
        assert refined.spread_hw.max() < 1e-5
        assert refined.confidence_hw.min() > 0.999

    def test_one_member_has_no_spread_and_no_confidence(self) -> None:
        refined = reduce_members(Members(RAMP[None]), RAMP, Ensemble())
        assert np.array_equal(refined.map_hw, RAMP)
        assert np.isnan(refined.spread_hw).all()
        assert np.isnan(refined.confidence_hw).all()

    def test_spread_is_the_standard_deviation_of_the_aligned_members(self) -> None:
        maps = np.stack([noisy(seed) for seed in range(4)]).astype(np.float64)
        mean = maps.mean(axis=0)
        expected = []
        for member in maps:
            design = np.stack([member.ravel(), np.ones(member.size)], axis=1)
            solution, *_ = np.linalg.lstsq(design, mean.ravel(), rcond=None)
            expected.append((design @ solution).reshape(mean.shape))
        refined = reduce_members(Members(maps.astype(np.float32)), RAMP, Ensemble())
        assert np.allclose(refined.spread_hw, np.std(expected, axis=0), atol=1e-5)

    def test_align_before_mean_undoes_what_scale_did(self) -> None:
        members = Members(np.stack([noisy(0), 10 * noisy(1)]))
        plain = reduce_members(members, RAMP, Ensemble())
        aligned = reduce_members(members, RAMP, Ensemble(align_before_mean=True))
        assert not np.allclose(plain.map_hw, aligned.map_hw)
        reference = plain.map_hw.astype(np.float64)
        expected = align_members(members.maps_ehw.astype(np.float64), reference).mean(axis=0)
        assert np.allclose(aligned.map_hw, expected, rtol=1e-4)

    @given(order=st.permutations(range(4)))
    def test_order_of_members_does_not_matter(self, order: list[int]) -> None:
        maps = np.stack([noisy(seed) for seed in range(4)])
        first = reduce_members(Members(maps), RAMP, Ensemble())
        other = reduce_members(Members(maps[order]), RAMP, Ensemble())
        assert np.allclose(first.map_hw, other.map_hw, rtol=1e-6)
        assert np.allclose(first.spread_hw, other.spread_hw, rtol=1e-4, atol=1e-6)


class TestConfidence:
    def test_formula(self) -> None:
        low, high = np.quantile(WIDE_RAMP, (0.05, 0.95))
        spread = np.full(RAMP.shape, 0.05 * (high - low))
        assert np.allclose(confidence_by_spread(spread, WIDE_RAMP, tau=0.05), np.exp(-1.0))

    @given(scale=scales, shift=shifts)
    def test_unchanged_by_scale_and_shift_of_the_map(self, scale: float, shift: float) -> None:
        spread = np.abs(noisy(3) - RAMP).astype(np.float64)
        first = confidence_by_spread(spread, WIDE_RAMP, 0.05)
        other = confidence_by_spread(spread * scale, WIDE_RAMP * scale + shift, 0.05)
        assert np.allclose(first, other, rtol=1e-6)
        assert ((first >= 0) & (first <= 1)).all()

    def test_larger_spread_is_less_sure(self) -> None:
        spread = np.linspace(0, 2, RAMP.size).reshape(RAMP.shape)
        assert (np.diff(confidence_by_spread(spread, WIDE_RAMP, 0.05).ravel()) < 0).all()

    def test_map_without_range_has_none(self) -> None:
        flat = np.ones((4, 4))
        assert np.isnan(confidence_by_spread(flat, flat, 0.05)).all()


class TestGuard:
    @given(scale=scales, shift=shifts)
    def test_scale_and_shift_are_no_drift(self, scale: float, shift: float) -> None:
        verdict = guard(RAMP, (RAMP * scale + shift).astype(np.float32), Guard())
        assert verdict.collapse is None
        assert verdict.drift < 1e-5
        assert verdict.rank_correlation > 0.999

    def test_a_map_that_was_left_as_it_is_has_moved_nowhere(self) -> None:
        assert guard(RAMP, RAMP.copy(), Guard()) == Verdict(0.0, 1.0, None)

    def test_drift_is_the_mean_difference_after_alignment_over_the_range(self) -> None:
        # A pattern that is orthogonal to the ramp: alignment cannot explain any of it.
        pattern = np.tile([1.0, -1.0, -1.0, 1.0], RAMP.size // 4).reshape(RAMP.shape)
        low, high = np.quantile(RAMP, (0.02, 0.98))
        verdict = guard(RAMP, (RAMP + 0.2 * pattern).astype(np.float32), Guard())
        assert verdict.drift == pytest.approx(0.2 / (high - low), rel=2e-2)

    @pytest.mark.parametrize(
        ("refined", "reason"),
        [
            (np.full_like(RAMP, 3.0), "constant"),
            (np.where(RAMP > 5, np.nan, RAMP).astype(np.float32), "not finite"),
            (-RAMP, "depth order lost"),
        ],
    )
    def test_collapse_is_named(self, refined: FloatMap, reason: str) -> None:
        verdict = guard(RAMP, refined, Guard())
        assert verdict.collapse is not None
        assert reason in verdict.collapse

    def test_constant_coarse_map_is_named(self) -> None:
        verdict = guard(np.ones_like(RAMP), RAMP, Guard())
        assert verdict.collapse is not None
        assert "coarse map is constant" in verdict.collapse
